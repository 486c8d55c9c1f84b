"""More measures on a run that is there: its states rebuilt from the ledger, tables written beside the first ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.measures.session import MeasureSession
from core.runs.engine.laboratory import Laboratory
from core.runs.engine.run_context import announce, share_of
from core.runs.opened.asked_rounds import asked_rounds
from core.runs.opened.run import OpenedRun
from core.runs.progress.control import Control
from core.runs.progress.eta import Pace
from core.runs.progress.events import Measured, Progress
from core.runs.store.folder import RunFolder, replace_text

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
    control = control or Control()
    run = OpenedRun(path, laboratory or Laboratory(path.expanduser().resolve()), control)
    again, spec = RunFolder(run.folder.path, suffix=f"-{name}"), run.record.spec
    wanted = asked_rounds(run.labels, run.ledger, lanes, rounds)
    run.load()
    config = spec.measure.model_copy(update=_changes(tasks, maps, everything))
    layers = sorted({layer for lane in wanted for layer in run.layers[lane]})
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
        measured = session.measure(
            lane.at(number).weights,
            lane.edited_by(number),
            (),
            number,
            **share_of(lane.recipe),
            layers=lane.layers,
            final=number == run.plan.rounds,
            heartbeat=control.heartbeat,
        )
        events.append(_event(label, number, measured.as_dict()).as_dict())
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
