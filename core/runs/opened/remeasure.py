"""More measures on a run that is there: its states rebuilt from the ledger, tables written beside the first ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.measures.session import MeasureSession
from core.runs.engine.laboratory import Laboratory
from core.runs.engine.run_context import announce, share_of
from core.runs.opened.opened import asked_for, opened
from core.runs.progress.control import Control
from core.runs.progress.eta import Pace
from core.runs.progress.events import Measured, Progress
from core.runs.store.folder import RunFolder, replace_text
from core.runs.store.record import Record

UNSAMPLED = {"sample": None, "paraphrases": None, "neighbors": None, "unedited": None, "task_limit": None}


def remeasure(
    path: Path,
    rounds: str = "last",
    lanes: Sequence[str] | None = None,
    tasks: Sequence[str] | None = None,
    maps: str | None = None,
    everything: bool = False,
    name: str = "again",
    control: Control | None = None,
    laboratory: Laboratory | None = None,
) -> list[Path]:
    """Measure rounds of a run again; returns the files that were written.

    `rounds` is "all", "last" or numbers with commas; `tasks` [] stands for the model's own, None for those of the run;
    `maps` adds a map per state to `maps-<name>.json`; `everything` measures without samples. Numbers that only a live
    run can tell (`*_when_edited`) are left out. Raises `UserError` for a folder, round or lane that is not there, and
    `Interrupted` when `control` says so.
    """
    record, control = Record.read(path), control or Control()
    again, spec = RunFolder(record.folder.path, suffix=f"-{name}"), record.spec
    wanted = asked_for(record, lanes, rounds)
    run = opened(record, laboratory or Laboratory(record.folder.path), control)
    config = spec.measure.model_copy(update=_changes(tasks, maps, everything))
    layers = sorted({layer for lane in wanted for layer in run.layers(lane)})
    announce(run.lm, len(layers), config, control)
    session = MeasureSession(
        run.lm,
        run.facts.edit,
        run.facts.unedited,
        layers,
        config,
        run.laboratory.assets,
        heartbeat=control.heartbeat,
    )
    places = [(lane, number) for lane, numbers in wanted.items() for number in numbers]
    events: list[Mapping[str, Any]] = [record.started]
    plan, pace = run.plan, Pace()
    for done, (lane, number) in enumerate(places):
        control.report(
            Progress(
                phase="scores",
                lane=lane,
                round=number,
                message=f"Measuring {lane}, round {number}",
                run_done=done,
                run_total=len(places),
                eta_seconds=pace.left(done, len(places)),
            )
        )
        control.boundary()
        beat = control.heartbeat
        found = session.measure(
            run.ledger.rebuild(run.lm, lane, run.layers(lane), number, beat=beat).weights if number else {},
            plan.edited_by(number, run.left_out(lane)),
            (),
            number,
            **share_of(run.recipe(lane)),
            layers=run.layers(lane),
            final=number == plan.rounds,
            heartbeat=beat,
        )
        events.append(_event(lane, number, found.as_dict()).as_dict())
    return _written(again, events, maps)


def _changes(tasks: Sequence[str] | None, maps: str | None, everything: bool) -> dict[str, Any]:
    changes: dict[str, Any] = dict(UNSAMPLED) if everything else {}
    if tasks is not None:
        changes["tasks"] = list(tasks) or True
    return changes | {"maps": maps or False}


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
