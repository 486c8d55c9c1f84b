"""The lanes of the form before they run: defaults for the chosen prior, wrapper and model, and notes on the comparison
of lanes."""

from __future__ import annotations

import asyncio
from typing import Any

import gradio as gr

from lab_app.form.settled import settled
from lab_app.handlers.parts import QUIET, Parts


def place(parts: Parts) -> None:
    """The lanes are placed with the form."""


def connect(parts: Parts) -> None:
    lanes = parts.form["lanes"]
    lanes.settle(settle, parts.form["model"], lanes, concurrency_limit=8, trigger_mode="multiple", **QUIET)


def pages(parts: Parts) -> None:
    """None of its own."""


async def settle(model: Any, event: gr.EventData) -> Any:
    """The resolved settings of the form's lanes."""
    asked = event._data
    found = await asyncio.to_thread(settled, asked.get("lanes"), str(model or ""), str(asked.get("source") or ""))
    return gr.update(settled=found | {"asked": asked.get("asked")})
