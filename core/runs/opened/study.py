"""Runs a study on a stored run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from core.editing.statistics.second_moment import SecondMoment, ToGather
from core.errors import UserError
from core.measures.cost.cost_model import announcement
from core.measures.outside.texts import texts_for
from core.measures.session import task_names
from core.measures.study.case import Case
from core.measures.study.result import StudyResult
from core.runs.engine.run_context import gathering, versions
from core.runs.opened.catalogue import built, resolved
from core.runs.opened.run import OpenedLane, OpenedRun
from core.runs.opened.selected_rounds import selected_rounds
from core.runs.progress.control import Control
from core.runs.progress.eta import Pace
from core.runs.progress.events import Progress


def study(
    run: OpenedRun, name: str, options: Mapping[str, Any], lanes: Sequence[str] | None = None, rounds: str = "last"
) -> dict[str, Any]:
    """The result of a study of `lanes` (None: all) at `rounds`: "all", "last", or numbers separated by commas.

    Returns JSON: `study, title, question, source, options` (all of them), `lanes`, `rounds` (by lane), `asked_rounds`
    (the argument `rounds`), `created` (seconds since 1970), `model`, `versions`, `seconds`, and the fields of
    `core.measures.study.result.StudyResult`: `tables` (rows with the column `lane` first), `charts` (each of one lane's
    rows), `protocol`, `notes`, `empty` (`{"table", "lane", "why"}` for each table of a lane without rows). Raises
    `UserError` for an unknown study, option, lane or round, and `Interrupted` when the run's control ends it. The state
    of torch's random generator is restored.
    """
    began, chosen = time.monotonic(), built(name, options)
    control, started = run.control, run.started  # raises `UserError` without a run
    rounds_by_lane, left_out = applicable(run, chosen, selected_rounds(run.labels, run.ledger, lanes, rounds))
    random, pace = torch.get_rng_state(), Pace()
    try:
        run.load()
        cases = {
            label: case_of(run.lane(label), progress_report(chosen.title, label, i, len(rounds_by_lane), control, pace))
            for i, label in enumerate(rounds_by_lane)
        }
        announce(chosen, cases, rounds_by_lane, control, pace)
        if hasattr(chosen, "compared"):
            results = chosen.compared(cases, rounds_by_lane)
        else:
            results = {label: chosen.run(cases[label], at) for label, at in rounds_by_lane.items()}
    finally:
        torch.set_rng_state(random)
    about = {"model": started["model"], "seconds": round(time.monotonic() - began, 3)}
    result = described(name, chosen, rounds_by_lane, rounds, about) | merged(results)
    return result | {"notes": [*left_out, *result["notes"]]}


def applicable(
    run: OpenedRun, chosen: Any, rounds_by_lane: Mapping[str, Sequence[int]]
) -> tuple[dict[str, Sequence[int]], list[str]]:
    """The lanes that a study can read, and a note on each of the others: it changes no weights, or no states. Raises
    `UserError` if none is left."""
    kept, notes = dict(rounds_by_lane), []
    for label in rounds_by_lane:
        recipe, reads = run.lane(label).recipe, getattr(chosen, "of", "")
        if (reads == "weights" and not recipe.changes_weights) or (reads == "states" and not recipe.layers):
            del kept[label]
            notes.append(f"{label} changes no {reads} of the model, which this study reads: undefined, not zero.")
    if not kept:
        raise UserError(f"{chosen.title}: {' '.join(notes)}")
    return kept, notes


def described(
    name: str, chosen: Any, rounds_by_lane: Mapping[str, Sequence[int]], rounds: str, about: Mapping[str, Any]
) -> dict[str, Any]:
    """What a result says of a study: all but its tables, charts and words. `about`: its `model` and `seconds`."""
    return {
        "study": name,
        **{key: getattr(chosen, key) for key in ("title", "question", "source")},
        "options": resolved(chosen),
        "lanes": list(rounds_by_lane),
        "rounds": dict(rounds_by_lane),
        "asked_rounds": rounds,
        "created": time.time(),
        "model": about["model"],
        "versions": versions(),
        "seconds": about["seconds"],
    }


def case_of(lane: OpenedLane, report: Callable[[int, int], None] | None = None) -> Case:
    """The `Case` of a lane, which studies work on. Statistics of a layer are read or gathered when they are used."""
    run, label = lane.run, lane.label
    spec, past = run.spec, run.past
    moments = Moments(run.lm.n_layers, partial(_second_moments, run), partial(run.laboratory.to_gather, run.spec))
    return Case(
        lm=run.lm,
        lane=label,
        recipe=lane.recipe,
        ledger=run.ledger,
        session=replace(run.session, moments=moments),  # and with it all that was derived from W0 so far
        facts=run.facts.edit,
        unedited=run.facts.unedited,
        alone=run.plan.alone,
        cohorts=[lane.edited_in(number) for number in range(1, run.plan.rounds + 1)],
        scores={place[1]: past.scores[place] for place in past.history(label)},
        texts=texts_for(run.lm, spec.measure, run.facts.unedited, run.laboratory.assets, run.laboratory.writer(spec)),
        seconds={number: seconds for (other, number), seconds in past.seconds.items() if other == label},
        tasks=task_names(spec.measure, run.lm, run.laboratory.assets),
        task_limit=spec.measure.task_limit,
        assets=run.laboratory.assets,
        seed=spec.seed,
        progress=report,
        recent=run.laboratory.recent,
    )


class Moments(dict[int, SecondMoment]):
    """C0 by layer: each is computed by `gather` on first use, or `ahead` with others, and then kept. `lacking` tells
    what that would take for some layers."""

    def __init__(
        self,
        layers: int,
        gather: Callable[[Sequence[int]], Mapping[int, SecondMoment]],
        lacking: Callable[[Sequence[int]], ToGather],
    ):
        super().__init__()
        self._layers, self._gather, self._lacking = layers, gather, lacking

    def __contains__(self, layer: object) -> bool:
        return layer in range(self._layers)

    def __missing__(self, layer: int) -> SecondMoment:
        if layer not in self:
            raise KeyError(layer)
        self.ahead([layer])
        return self[layer]

    def to_gather(self, layers: Sequence[int]) -> ToGather:
        """What has yet to be done for these layers."""
        missing = [layer for layer in layers if layer not in self.keys()]
        return self._lacking(missing) if missing else ToGather()

    def ahead(self, layers: Sequence[int]) -> None:
        """Compute those of several layers together, in one pass over the texts."""
        missing = [layer for layer in layers if layer not in self.keys()]
        if missing:
            gathered = self._gather(missing)
            self.update({layer: gathered[layer] for layer in missing})


def merged(results: Mapping[str, StudyResult]) -> dict[str, Any]:
    """The results of several lanes as one: tables have the column `lane` first; equal charts and protocols merge."""
    parts = {lane: part.as_dict() for lane, part in results.items()}
    tables: dict[str, list[dict[str, Any]]] = {}
    for lane, part in parts.items():
        for name, rows in part["tables"].items():
            tables.setdefault(name, []).extend({"lane": lane, **row} for row in rows)
    charts: list[dict[str, Any]] = []
    for part in parts.values():
        charts += [chart for chart in part["charts"] if chart not in charts]
    notes = [f"{lane}: {note}" if len(parts) > 1 else note for lane, part in parts.items() for note in part["notes"]]
    protocol = " ".join(dict.fromkeys(part["protocol"] for part in parts.values()))
    empty = [
        {"table": name, "lane": lane, "why": why} for lane, part in parts.items() for name, why in part["empty"].items()
    ]
    return {"tables": tables, "charts": charts, "protocol": protocol, "notes": notes, "empty": empty}


def announce(
    chosen: Any, cases: Mapping[str, Case], rounds_by_lane: Mapping[str, Sequence[int]], control: Control, pace: Pace
) -> None:
    """Report how long a study will take, if it has an estimate and that is long."""
    if hasattr(chosen, "seconds"):
        seconds = sum(chosen.seconds(cases[lane], at) for lane, at in rounds_by_lane.items())
        pace.expect(seconds)
        for words in announcement(seconds):
            control.report(Progress(phase="study", eta_seconds=seconds, message=f"{chosen.title}: {words}"))


def progress_report(
    title: str, lane: str, index: int, lanes: int, control: Control, pace: Pace
) -> Callable[[int, int], None]:
    """A function that reports the progress of one lane's study, and lets the worker answer other requests."""

    def report(done: int, total: int) -> None:
        part = (index + (done / total if total else 0.0)) / lanes
        message = f"{title} of {lane}: " + (f"{done:,} of {total:,}" if total else "getting ready")
        eta = pace.left(part, 1.0)
        control.report(Progress(phase="study", lane=lane, done=done, total=total, eta_seconds=eta, message=message))
        control.heartbeat()
        if control.ending:
            control.boundary()

    return report


def _second_moments(run: OpenedRun, layers: Sequence[int]) -> Mapping[int, SecondMoment]:
    return run.laboratory.session(run.spec, layers, run.control.heartbeat, gathering(run.control)).moments
