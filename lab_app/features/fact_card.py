"""The fact card: the answers to one fact's questions over the rounds of each lane, their logit lens, proof of its edit.

Any element of the page with `data-fact` (its index; `data-unedited` for an unedited fact) opens the card when it
is pressed. The worker computes its content.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import gradio as gr

from core.errors import UserError
from lab_app.handlers.parts import QUIET, Parts
from lab_app.lab import Lab
from lab_app.markup.widgets import widget

PATIENCE = 60.0  # seconds
LATER = "The worker is busy or starting. Try again in a moment."
TEMPLATE = """
<dialog class="fact-card" aria-labelledby="fact-card-title">
  <div class="top"><h2 id="fact-card-title" dir="auto"></h2>
    <button type="button" class="close" aria-label="Close">×</button></div>
  <p class="about" dir="auto"></p>
  <p class="note" role="status" dir="auto"></p>
  <div class="of-lane switch" role="group" aria-label="Lane"></div>
  <div class="answers-over-rounds" tabindex="0"></div>
  <div class="lens" tabindex="0"></div>
  <div class="proof"></div>
  <div class="end"></div>
</dialog>"""


def place(parts: Parts) -> None:
    parts.more["card"] = widget("card", {}, TEMPLATE, ["look"])


def connect(parts: Parts) -> None:
    box = parts.more["card"]
    cards = Cards(parts)
    box.look(cards.look, parts.run, box, concurrency_limit=None, trigger_mode="multiple", **QUIET)


def pages(parts: Parts) -> None:
    """None of its own."""


class Cards:
    """The handler, with its lab."""

    def __init__(self, parts: Parts):
        self.lab: Lab = parts.lab
        self.lane_names = parts.actions.lane_names

    async def look(self, run: str, event: gr.EventData) -> AsyncIterator[dict[str, Any]]:
        """The card so far, after each further lane."""
        data = event._data
        asked = {"fact": data.get("fact"), "unedited": bool(data.get("unedited"))}
        number = data.get("round")
        lanes = self.lane_names(run)
        found: dict[str, dict[str, Any]] = {}

        def card(message: str) -> dict[str, Any]:
            told = [found[lane] for lane in lanes if lane in found]
            return {**asked, "place": data.get("place"), "lanes": told, "of": len(lanes), "message": message}

        if not lanes:
            yield card("This run has no lane yet.")
            return
        payload: Mapping[str, Any] = asked | ({"round": number} if isinstance(number, int) else {})
        try:
            commands = {lane: self.lab.store.command(run, "fact", {**payload, "lane": lane}) for lane in lanes}
        except UserError as error:
            yield card(str(error))
            return
        async for lane, command in self.lab.answers(commands, PATIENCE):
            answer = command.answer or {}
            found[lane] = {
                "lane": lane,
                **({"message": str(answer.get("message"))} if command.state == "failed" else answer),
            }
            yield card("")
        if len(found) < len(lanes):
            yield card(LATER)
