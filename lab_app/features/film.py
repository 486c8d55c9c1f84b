"""The film strip: prompts that are repeated at every measured round, and how their continuations change.

A run repeats the prompts of its spec's `measure.probes`. For a prompt that was saved later, the worker rebuilds the
states of all measured rounds from the ledger.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from core.errors import UserError
from lab_app.handlers.parts import QUIET, Parts
from lab_app.handlers.words import SHORT, clipped
from lab_app.lab import Lab
from lab_app.markup.widgets import widget

PATIENCE = 120.0  # seconds
LATER = "The worker is busy or starting. Try again in a moment."
TEMPLATE = """
<section class="film" aria-labelledby="film-title" hidden>
  <h2 id="film-title">Film strip</h2>
  <p class="lead">Saved prompts, continued by the model at every measured round. Differences from the unedited model
  are marked. Press the star beside a prompt to save it for the next run.</p>
  <p class="note" role="status" dir="auto"></p>
  <div class="strips"></div>
</section>"""


def place(parts: Parts) -> None:
    parts.more["film"] = widget("film", {}, TEMPLATE, ["film"])


def connect(parts: Parts) -> None:
    box = parts.more["film"]
    films = Films(parts)
    box.film(films.film, parts.run, box, concurrency_limit=None, trigger_mode="multiple", **QUIET)


def pages(parts: Parts) -> None:
    """None of its own."""


class Films:
    """The handler, with its lab."""

    def __init__(self, parts: Parts):
        self.lab: Lab = parts.lab
        self.lane_names = parts.actions.lane_names

    async def film(self, run: str, event: gr.EventData) -> AsyncIterator[dict[str, Any]]:
        """A prompt at all measured rounds: the answers so far, after each further lane."""
        prompt, lanes = str(event._data.get("prompt", "")), self.lane_names(run)
        found: dict[str, dict[str, Any]] = {}

        def strip(message: str) -> dict[str, Any]:
            told = [found[lane] for lane in lanes if lane in found]
            return {"run": run, "prompt": prompt, "lanes": told, "of": len(lanes), "message": message}

        try:
            commands = {lane: self.lab.store.command(run, "film", {"prompt": prompt, "lane": lane}) for lane in lanes}
        except UserError as error:
            yield strip(str(error))
            return
        trouble = ""
        async for lane, command in self.lab.answers(commands, PATIENCE):
            answer = command.answer or {}
            if command.state == "failed":
                trouble = str(answer.get("message", ""))
            else:
                rounds = [{"round": at["round"], "text": clipped(at["text"], SHORT)} for at in answer["rounds"]]
                found[lane] = {"lane": lane, "rounds": rounds}
            yield strip(trouble)
        if len(found) < len(lanes):
            yield strip(trouble or LATER)
