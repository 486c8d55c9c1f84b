"""More measures on a run that is there: its states rebuilt from the ledger, tables written beside the first ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.editing.ledger import Ledger
from core.editing.recipe import recipe_from_dict
from core.errors import UserError, nearest
from core.facts.source import load_facts
from core.measures.session import MeasureSession
from core.runs.bench import recipe_of, tau_of
from core.runs.control import Control
from core.runs.eta import Pace
from core.runs.events import Event, Measured, Progress, Started, from_dict
from core.runs.folder import RunFolder, replace_text
from core.runs.laboratory import Laboratory
from core.runs.plan import Plan
from core.runs.spec import MOST_ROWS, RunSpec

UNSAMPLED = {"sample": None, "paraphrases": None, "neighbors": None, "unedited": None, "task_limit": None}


def remeasure(
    path: Path,
    rounds: str = "last",
    lanes: Sequence[str] | None = None,
    tasks: Sequence[str] | None = None,
    maps: str | None = None,
    everything: bool = False,
    name: str = "again",
    progress: Callable[[Progress], None] | None = None,
    laboratory: Laboratory | None = None,
) -> list[Path]:
    """Measure rounds of a run again; returns the files that were written.

    `rounds` is "all", "last" or numbers with commas; `tasks` [] stands for the model's own, None for those of the run;
    `maps` adds a map per state to `maps-<name>.json`; `everything` measures without samples. Numbers that only a live
    run can tell (`*_when_edited`) are left out. Raises `UserError` for a folder, round or lane that is not there.
    """
    path = path.expanduser().resolve()
    folder, again = RunFolder(path), RunFolder(path, suffix=f"-{name}")
    spec, started = _read(folder)
    chosen = _lanes(started, lanes)
    ledger = Ledger(folder.ledger)
    wanted = {lane: _rounds(rounds, ledger.rounds(lane), lane) for lane in chosen}
    control = Control(report=progress)
    control.report(Progress(phase="loading", message=f"Loading the model {spec.model}"))
    laboratory = laboratory or Laboratory(path)
    lm = laboratory.model(spec)
    if lm.fingerprint != started.model["fingerprint"]:
        raise UserError(f"{path}: the model {spec.model} is no longer the one that this run was made with")
    facts = load_facts(spec.facts, laboratory.assets)
    session = MeasureSession(
        lm,
        facts.edit,
        facts.unedited,
        sorted({layer for lane in chosen for layer in started.layers[lane]}),
        spec.measure.model_copy(update=_changes(tasks, maps, everything)),
        laboratory.assets,
    )
    recipes = [recipe_from_dict(lane["recipe"]) for lane in started.lanes]
    plan, pace, done = Plan(len(facts.edit), spec.round_size, spec.measure.every), Pace(), 0
    total = sum(map(len, wanted.values()))
    events: list[Event] = [started]
    for lane in chosen:
        for number in wanted[lane]:
            message = f"Measuring {lane}, round {number}"
            control.report(
                Progress(
                    phase="scores",
                    lane=lane,
                    round=number,
                    message=message,
                    done=done,
                    total=total,
                    run_done=done,
                    run_total=total,
                    eta_seconds=pace.left(done, total),
                )
            )
            weights = ledger.rebuild(lm, lane, started.layers[lane], number).weights if number else {}
            recipe = recipe_of(recipes, lane)
            found = session.measure(
                weights,
                plan.edited_by(number),
                (),
                number,
                tau=tau_of(recipe),
                layers=started.layers[lane],
                final=number == plan.rounds,
            )
            events.append(_event(lane, number, found.as_dict()))
            done += 1
    return _written(again, events, maps)


def _read(folder: RunFolder) -> tuple[RunSpec, Started]:
    written = folder.read_spec()
    if written is None:
        raise UserError(
            f"{folder.path}: no run is there (no spec.json); give the folder that --out named, or runs/<id>"
        )
    written.pop("resolved", None)
    try:
        with (folder.path / "events.jsonl").open(encoding="utf-8") as file:
            events = (json.loads(line) for line in file)
            started = next(event for event in events if event["kind"] == "started")
    except (OSError, ValueError, StopIteration):
        raise UserError(f"{folder.path}: events.jsonl is missing or damaged; resume the run to write it anew") from None
    return RunSpec.from_dict(written, max_facts=MOST_ROWS), from_dict(started)


def _lanes(started: Started, asked: Sequence[str] | None) -> list[str]:
    labels = [lane["label"] for lane in started.lanes]
    for label in asked or ():
        if label not in labels:
            raise UserError(f'there is no lane "{label}"; {nearest(label, labels)}')
    return [label for label in labels if asked is None or label in asked]


def _rounds(asked: str, there: Sequence[int], lane: str) -> list[int]:
    known = [0, *there]
    if asked == "all":
        return known
    if asked == "last":
        return known[-1:]
    try:
        numbers = sorted({int(part) for part in asked.split(",")})
    except ValueError:
        raise UserError(f'--rounds: "{asked}" is neither all, last, nor numbers with commas such as 0,5,10') from None
    missing = [number for number in numbers if number not in known]
    if missing:
        raise UserError(f"--rounds: {lane} has rounds 0 to {known[-1]}, not {missing[0]}")
    return numbers


def _changes(tasks: Sequence[str] | None, maps: str | None, everything: bool) -> dict[str, Any]:
    changes: dict[str, Any] = dict(UNSAMPLED) if everything else {}
    if tasks is not None:
        changes["tasks"] = list(tasks) or True
    return changes | {"maps": maps or False}


def _event(lane: str, number: int, payload: dict[str, Any]) -> Measured:
    payload.pop("round")
    scores = {key: value for key, value in payload["scores"].items() if "when_edited" not in key}
    return Measured(lane=lane, round=number, **{**payload, "scores": scores})


def _written(folder: RunFolder, events: Sequence[Event], maps: str | None) -> list[Path]:
    folder.take(event.as_dict() for event in events)
    folder.write_tables()
    written = [folder.file("rounds"), folder.file("layers")]
    if maps:
        drawn: list[Mapping[str, Any]] = [
            {"lane": event.lane, "round": event.round, **event.map}
            for event in events
            if isinstance(event, Measured) and event.map is not None
        ]
        target = folder.file("maps").with_suffix(".json")
        replace_text(target, json.dumps(drawn) + "\n")
        written.append(target)
    return written
