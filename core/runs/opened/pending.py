"""Computes a lane's next round before the run does, for the guard sandbox.

The result is bit for bit what the run will compute when it resumes: the same edit of the same facts on top of the same
state. It does not change the run's ledger or events. It is stored beside them until the lane's next pending round
replaces it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from core.editing.deltas.ledger import Ledger
from core.editing.lane.method import Recipe
from core.editing.lane.session import model_info
from core.editing.rounds.edit_round import edit_round
from core.editing.rounds.matched_shrinkage import exact
from core.errors import UserError, nearest
from core.facts.fact import Fact
from core.runs.engine.run_context import gathering
from core.runs.opened.run import OpenedLane, OpenedRun
from core.runs.progress.control import Control
from core.runs.progress.events import Progress
from core.runs.spec.lanes import recipe_of_lane
from core.runs.spec.recorded import as_begun
from core.runs.store.record import Record

NEXT = "next"  # instead of a number: the next round
FOLDER = "pending"  # in a run's folder: a ledger of pending rounds only


def pending_ledger(run: OpenedRun) -> Ledger:
    """The ledger of pending rounds: computed, but not part of the run. At most one per lane."""
    return Ledger(run.folder.path / FOLDER)


def next_round(status: str, record: Record, lane: str) -> int:
    """The number of the round that a lane edits next. Raises `UserError` while the run is queued or running (`status`),
    and if the lane has no next round: it has not begun, it failed, or it has edited all rounds."""
    if status in ("queued", "running"):
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


def compute(lane: OpenedLane, number: int, facts: Sequence[Fact]) -> Ledger:
    """The ledger that holds a lane's next round, `number`, which edits `facts`. The round is computed if needed.

    Progress is reported to the run's control, which may interrupt it between two optimiser steps; nothing is stored
    then. Raises `UserError` for a round that cannot be edited.
    """
    run, label, ledger = lane.run, lane.label, pending_ledger(lane.run)
    lm, control = run.lm, run.control
    if number in ledger.rounds(label):
        return ledger
    entry = next(entry for entry in as_begun(run.spec.lanes, run.started) if entry["name"] == label)
    recipe, report = recipe_of_lane(entry, model_info(lm)), _reports(label, number, control)
    message = f"{label}: rebuilding round {run.plan.base(number)}"
    control.report(Progress(phase="loading", lane=label, round=number, message=message))
    with torch.inference_mode(False), torch.enable_grad():  # a measurement that is held may have neither
        session = run.laboratory.session(run.spec, recipe.layers, control.boundary, gathering(control))
        state = lane.at(run.plan.base(number)).state
        control.boundary()
        matched = _matched(run, recipe, number, facts)
        update = edit_round(lm, state, facts, recipe, session, control.boundary, matched, report)
        update = replace(update, alone=run.plan.alone)
    ledger.delete(label)
    ledger.append(label, number, update)
    return ledger


def _matched(run: OpenedRun, recipe: Recipe, number: int, facts: Sequence[Fact]) -> float | None:
    """The score of the matched lane on the round's facts right after its own edit; None without a match."""
    other = recipe.match
    if other is None:
        return None
    if number not in run.ledger.rounds(other):
        raise UserError(f"{recipe.label} is matched to {other}, whose round {number} comes first: step once, then ask")
    return exact(run.lm, run.lane(other).at(number).state, facts, run.control.boundary)


def _reports(lane: str, number: int, control: Control) -> Callable[[str, int, int], None]:
    def report(phase: str, done: int, total: int) -> None:
        if control.wants(phase, lane, number):
            what = f"step {done} of {total} for the values" if phase == "values" else f"layer {done} of {total}"
            at: dict[str, Any] = {"phase": phase, "lane": lane, "round": number, "done": done, "total": total}
            control.report(Progress(message=f"{lane}, round {number}: {what}", **at))

    return report
