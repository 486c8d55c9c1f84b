"""Measures a stored run again: states are rebuilt from the ledger, tables are written beside the first ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.measures.config import MeasureConfig
from core.measures.session import MeasureSession
from core.measures.session.moment import Moment
from core.runs.engine.run_context import announce, share_of
from core.runs.opened.run import OpenedRun
from core.runs.opened.selected_rounds import selected_rounds
from core.runs.progress.eta import Pace
from core.runs.progress.events import Measured, Progress
from core.runs.store.folder import RunFolder, replace_text

UNSAMPLED = {"sample": None, "paraphrases": None, "neighbors": None, "unedited": None, "task_limit": None}


@dataclass(frozen=True, kw_only=True)
class Again:
    """How a repeated measurement differs from the run's. `tasks`: [] means the model's own, None those of the run.
    `maps` adds a map per state to `maps-<name>.json`. `everything` measures without samples. `name` is the suffix of
    the tables."""

    name: str = "again"
    tasks: Sequence[str] | None = None
    maps: str | None = None
    everything: bool = False

    def config(self, of_run: MeasureConfig) -> MeasureConfig:
        """The measures of the run with these changes."""
        changes: dict[str, Any] = dict(UNSAMPLED) if self.everything else {}
        if self.tasks is not None:
            changes["tasks"] = list(self.tasks) or True
        return of_run.model_copy(update={**changes, "maps": self.maps or False})


def remeasure(
    run: OpenedRun, rounds: str = "last", lanes: Sequence[str] | None = None, again: Again | None = None
) -> list[Path]:
    """Measure rounds of a run again; returns the files that were written.

    `rounds` is "all", "last" or numbers separated by commas. Scores that only a live run can measure (`*_when_edited`)
    are left out. Raises `UserError` for an unknown folder, round or lane, and `Interrupted` when the run's control ends
    it.
    """
    again, control = again or Again(), run.control
    spec, folder = run.record.spec, RunFolder(run.folder.path, suffix=f"-{again.name}")
    rounds_by_lane = selected_rounds(run.labels, run.ledger, lanes, rounds)
    run.load()
    config = again.config(spec.measure)
    layers = sorted({layer for lane in rounds_by_lane for layer in run.layers[lane]})
    announce(run.lm, len(layers), config, control)
    session = MeasureSession(
        run.lm,
        run.facts.edit,
        run.facts.unedited,
        layers,
        config,
        run.laboratory.assets,
        heartbeat=control.heartbeat,
        write=run.laboratory.writer(spec, control.heartbeat),
    )
    places = [(lane, number) for lane, numbers in rounds_by_lane.items() for number in numbers]
    events: list[Mapping[str, Any]] = [run.started]
    pace = Pace()
    for done, (label, number) in enumerate(places):
        lane = run.lane(label)
        control.report(
            Progress(
                phase="scores",
                lane=label,
                round=number,
                message=f"Measuring {label}, round {number}",
                run_done=done,
                run_total=len(places),
                eta_seconds=pace.left(done, len(places)),
            )
        )
        control.boundary()
        moment = Moment(
            lane.at(number).weights,
            lane.so_far(number),
            (),
            number,
            **share_of(lane.recipe),
            layers=lane.layers,
            final=number == run.plan.rounds,
            apart=lane.apart if run.plan.alone else None,
        )
        measured = session.measure(moment, control.heartbeat)
        events.append(_event(label, number, measured.as_dict()).as_dict())
    return _written(folder, events, again.maps)


def _event(lane: str, number: int, payload: dict[str, Any]) -> Measured:
    payload.pop("round")
    scores = {key: value for key, value in payload["scores"].items() if "when_edited" not in key}
    return Measured(lane=lane, round=number, **{**payload, "scores": scores})


def _written(folder: RunFolder, events: Sequence[Mapping[str, Any]], maps: str | None) -> list[Path]:
    folder.take(events)
    folder.write_tables()
    written = [folder.file("rounds"), folder.file("layers")]
    if maps:
        measured = [event for event in events if event["kind"] == "measured" and event["map"] is not None]
        drawn = [{"lane": event["lane"], "round": event["round"], **event["map"]} for event in measured]
        target = folder.file("maps").with_suffix(".json")
        replace_text(target, json.dumps(drawn) + "\n")
        written.append(target)
    return written
