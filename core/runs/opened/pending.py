"""The round that a lane edits next, computed before it is run: for the guard sandbox.

It is what the run will compute when it goes on, to the last bit: the same edit of the same facts on top of the same
state. Neither the ledger nor the events hear of it; it is kept beside them until the lane's next one is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from core.editing.deltas.ledger import Ledger
from core.editing.lane.method import Recipe
from core.editing.lane.session import model_info
from core.editing.rounds.edit_round import edit_round
from core.editing.rounds.matched_shrinkage import exact
from core.errors import UserError, nearest
from core.facts.fact import Fact
from core.models.language_model import LanguageModel
from core.runs.engine.laboratory import Laboratory
from core.runs.engine.run_context import gathering
from core.runs.progress.control import Control
from core.runs.progress.events import Progress
from core.runs.spec.lanes import recipe_of_lane
from core.runs.spec.recorded import as_begun
from core.runs.spec.run_spec import RunSpec
from core.runs.store.record import Record
from core.runs.store.store import Run

NEXT = "next"  # in the place of a round's number: the one that comes next
FOLDER = "pending"  # in a run's folder: a ledger of these rounds alone


def kept(record: Record) -> Ledger:
    """The rounds that were computed and not run, at most one of each lane."""
    return Ledger(record.folder.path / FOLDER)


def next_round(run: Run, record: Record, lane: str) -> int:
    """The number of the round that a lane edits next. Raises `UserError` while the run goes on, and where the lane has
    none: it did not begin, it ended, or it is done."""
    if run.status in ("queued", "running"):
        raise UserError("the run goes on; pause it, then ask about the round that comes next")
    labels = [entry["label"] for entry in record.started["lanes"]]
    if lane not in labels:
        raise UserError(f'no lane "{lane}" has begun in this run; {nearest(lane, labels)}')
    if lane in record.past.failed:
        raise UserError(f"{lane} ended in round {record.past.failed[lane]}: no round of it comes next")
    number, rounds = record.past.last_edit(lane) + 1, record.started["rounds"]
    if number > rounds:
        raise UserError(f"{lane} has edited all its rounds, 1 to {rounds}: ask about one of those")
    return number


def compute(
    laboratory: Laboratory,
    lm: LanguageModel,
    run: Run,
    spec: RunSpec,
    record: Record,
    lane: str,
    facts: Sequence[Fact],
    control: Control,
) -> Ledger:
    """The ledger that holds a lane's next round, which edits `facts`; computed where it was not yet.

    `control` is told how far it is, and may end it between two optimiser steps: nothing of it is kept then. Raises
    `UserError` for a round that cannot be edited.
    """
    number, there = next_round(run, record, lane), kept(record)
    if lm.fingerprint != record.started["model"]["fingerprint"]:
        raise UserError(f"the model {spec.model} is no longer the one that this run was begun with: put that one back")
    if number in there.rounds(lane):
        return there
    entry = next(entry for entry in as_begun((run.spec or {})["lanes"], record.started) if entry["name"] == lane)
    recipe, ledger = recipe_of_lane(entry, model_info(lm)), Ledger(record.folder.ledger)
    report = _reports(lane, number, control)
    control.report(Progress(phase="loading", lane=lane, round=number, message=f"{lane}: rebuilding round {number - 1}"))
    with torch.inference_mode(False), torch.enable_grad():  # a measurement that is held may have neither
        session = laboratory.session(spec, recipe.layers, control.boundary, gathering(control))
        state = ledger.rebuild(lm, lane, record.started["layers"][lane], number - 1, beat=control.boundary)
        matched = _matched(lm, ledger, record, recipe, number, facts, control)
        update = edit_round(lm, state, facts, recipe, session, control.boundary, matched, report)
    there.delete(lane)
    there.append(lane, number, update)
    return there


def _matched(
    lm: LanguageModel,
    ledger: Ledger,
    record: Record,
    recipe: Recipe,
    number: int,
    facts: Sequence[Fact],
    control: Control,
) -> float | None:
    """What the lane that this one is matched to says of the round's facts, right after its own edit."""
    other = recipe.match
    if other is None:
        return None
    if number not in ledger.rounds(other):
        raise UserError(f"{recipe.label} is matched to {other}, whose round {number} comes first: step once, then ask")
    beat = control.boundary
    state = ledger.rebuild(lm, other, record.started["layers"][other], number, beat=beat)
    return exact(lm, state, facts, beat)


def _reports(lane: str, number: int, control: Control) -> Callable[[str, int, int], None]:
    def report(phase: str, done: int, total: int) -> None:
        if control.wants(phase, lane, number):
            what = f"step {done} of {total} for the values" if phase == "values" else f"layer {done} of {total}"
            at: dict[str, Any] = {"phase": phase, "lane": lane, "round": number, "done": done, "total": total}
            control.report(Progress(message=f"{lane}, round {number}: {what}", **at))

    return report
