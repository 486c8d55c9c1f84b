"""Adding lanes to an existing run: checked at once, then requested from the worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import UserError
from core.runs.spec.admission import Offer, in_lanes
from core.runs.spec.lanes import check_origins
from core.runs.spec.left_out import check_there
from core.runs.spec.plan import Past
from core.runs.spec.problems import SpecError, SpecProblem
from core.runs.store.additions import extended
from core.runs.store.store import Run
from lab_app.lab import Lab

PATIENCE = 4.0  # seconds; a run that goes on takes lanes in at the end of its round
NO_RUN = "No run is open: start one, or open one of yours."
SOON = "The lanes are queued."


def check(lab: Lab, run: Run | None, lanes: Sequence[Any], offer: Offer) -> list[str]:
    """The labels of lanes to add to a run. Raises `SpecError` with places that count only the new lanes (`lanes[0]` is
    the first of them), and `UserError` for other problems."""
    if run is None or run.spec is None:
        raise UserError(NO_RUN)
    before = len(run.spec["lanes"])
    try:
        spec = extended(run.spec, lanes)
        offer.admit(in_lanes(spec, before))
    except SpecError as error:
        raise SpecError([own(problem, before) for problem in error.problems]) from None
    past = Past(event for _, event in lab.store.events(run.id))
    if past.started is not None:
        check_origins(spec.lanes[before:], past.started["rounds"], past.failed)
        check_there(spec.lanes[before:], past.started["facts"])
    return spec.labels()[before:]


async def add(lab: Lab, run: Run | None, lanes: Sequence[Mapping[str, Any]], offer: Offer) -> dict[str, Any]:
    """Add lanes to a run: `{"lanes": [labels], "message"}`. Raises as `check` does."""
    labels = check(lab, run, lanes, offer)
    assert run is not None
    command = lab.store.command(run.id, "add_lanes", {"lanes": list(lanes)})
    async for _, found in lab.answers({"add": command}, PATIENCE):
        answer = found.answer or {}
        if found.state == "failed":
            raise UserError(str(answer.get("message", "the lanes could not be added")))
        return {"lanes": list(answer.get("lanes", ())), "message": ""}
    return {"lanes": labels, "message": SOON}


def own(problem: SpecProblem, before: int) -> SpecProblem:
    """A problem of the extended spec, with the index of its lane among the added ones."""
    if not problem.where.startswith("lanes["):
        return problem
    number, _, rest = problem.where.removeprefix("lanes[").partition("]")
    return SpecProblem(f"lanes[{int(number) - before}]{rest}", problem.message)


def sentence(message: str) -> str:
    """A message as a sentence of its own."""
    return message and f"{message[:1].upper()}{message[1:]}{'' if message.endswith(('.', '?', '!')) else '.'}"
