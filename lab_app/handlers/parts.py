"""The components of the page, for its features."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from lab_app.handlers.actions import Actions
from lab_app.lab import Lab

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}  # for events of the page's own


@dataclass
class Parts:
    """The page's components. `run` holds the id of the open run, `visitor` the visitor, `form` the experiment's fields
    by name, `panels` the plots by key."""

    page: gr.Blocks
    lab: Lab
    actions: Actions
    run: Any = None
    visitor: Any = None
    header: Any = None
    form: dict[str, Any] = field(default_factory=dict)
    panels: dict[str, Any] = field(default_factory=dict)
    dock: Any = None
    probe: Any = None
    words: Any = None
    more: dict[str, Any] = field(default_factory=dict)  # what features placed, for their own `connect`
