"""A sweep: one lane with several values of one hyperparameter, added to the run at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import gradio as gr

from core.errors import UserError
from core.panels.frontier import AROUND, changed
from core.runs.spec.problems import SpecError
from lab_app.features.lanes_more import of_lane
from lab_app.handlers.adding import NO_RUN, add, sentence
from lab_app.handlers.parts import QUIET, Parts
from lab_app.lab import Lab

MOST = 12  # lanes of one sweep


def place(parts: Parts) -> None:
    """Nothing: its form is in the frontier's panel."""


def connect(parts: Parts) -> None:
    box = parts.panels["frontier"]
    box.sweep(Desk(parts.lab).sweep, parts.run, box, concurrency_limit=None, **QUIET)


def pages(parts: Parts) -> None:
    """None of its own."""


class Desk:
    """The handler."""

    def __init__(self, lab: Lab):
        self.lab = lab

    async def sweep(self, run: str, event: gr.EventData, request: gr.Request) -> Any:
        """Add the lanes of a sweep to the open run; returns the outcome."""
        found = self.lab.store.get(run) if run else None
        try:
            if found is None or found.spec is None:
                raise UserError(NO_RUN)
            answer = await add(self.lab, found, swept(found.spec, event._data), self.lab.offer(request))
        except SpecError as error:
            said = dict.fromkeys(sentence(problem.message) for problem in error.problems)
            return gr.update(asked={"message": " ".join(said), "wrong": True})
        except UserError as error:
            return gr.update(asked={"message": sentence(str(error)), "wrong": True})
        return gr.update(asked={"added": len(answer["lanes"]), "message": answer["message"]})


def swept(spec: Mapping[str, Any], asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The lane `asked["lane"]` with `asked["field"]` at each of `asked["values"]`, without those that the run already
    has. Raises `UserError`."""
    lane, key, values = of_lane(spec, str(asked.get("lane"))), asked.get("field"), asked.get("values")
    plain = {name: value for name, value in lane.items() if name != "name"}
    if not isinstance(values, list) or not 1 <= len(values) <= MOST or not all(map(number, values)):
        raise UserError(f"a sweep takes 1 to {MOST} numbers")
    if not isinstance(key, str) or not fits(plain, key):
        raise UserError("choose the number to vary")
    known = [{name: value for name, value in one.items() if name != "name"} for one in spec["lanes"]]
    made = [changed(plain, key, value) for value in dict.fromkeys(values)]
    if not (new := [one for one in made if one not in known]):
        raise UserError("this run already has all these lanes")
    return new


def number(value: Any) -> bool:
    """Whether this is a valid number for a field."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def fits(lane: Mapping[str, Any], key: str) -> bool:
    """Whether a lane has such a field; whether its method knows it is checked with the whole lane."""
    part, _, rest = key.partition(".")
    place, _, name = rest.partition(".")
    if part == "guards":
        return place.isdigit() and int(place) < len(lane.get("guards") or ()) and name not in ("", "name", "match")
    if part in AROUND:
        return bool(lane.get(part)) and rest not in ("", "name")
    return bool(key) and not rest and key not in ("name", "method", "guards", "prior", "wrapper", "from", "without")
