"""The API for other programs: a few endpoints, documented by their docstrings and types.

Each is named like its function (`client.predict(…, api_name="/start_run")`), and is a tool of the same name for MCP
clients where the package `mcp` is installed. Anyone who has a run's id may query it and steer it; ids cannot be
guessed. Only its owner can delete a run. `publish` is called inside the page's `Blocks`.
"""

from __future__ import annotations

import gradio as gr

from lab_app.api import looks, questions, runs, takeaway
from lab_app.api.asked import spoken
from lab_app.handlers.actions import Actions


def publish(actions: Actions) -> None:
    """Publish the endpoints."""
    for module in (runs, questions, looks, takeaway):
        for endpoint in module.endpoints(actions):
            gr.api(spoken(endpoint), concurrency_limit=None)
