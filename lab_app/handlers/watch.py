"""From a run's events to its page: one reader per open page, and its stream of updates.

Rows are only appended, each as one JSON string under its number. A page gets all rows when it opens, and then only the
latest few, which it appends. So the data that Gradio sends, compares and stores stay small, however long a run is. The
scrubber needs no round trip, since the page already has every row.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from core.errors import UserError
from core.panels import panels
from core.runs.progress.events import standing
from core.runs.store.store import Store
from lab_app.handlers.streams import BEAT
from lab_app.handlers.words import words
from lab_app.markup import text

LIVE, IDLE = 0.3, 1.5  # seconds between two looks at the store: while a run goes on, and when it does not
WINDOW = 24  # rows that a feed repeats, since a busy page sees only the latest of several values
SNAPSHOTS = 60  # rounds of which a run opened again sends the large rows
PANELS = panels()
FEEDS = ("status", *(panel.key for panel in PANELS), "words")
Value = dict[str, Any]
Beside = Callable[[str], Value]  # what a feature shows of a run that stands in no event; small, `live` if it may change
NOTHING: Mapping[str, Beside] = MappingProxyType({})


@dataclass
class Reader:
    """The state of reading one run. `poll` continues and returns the feeds that changed.

    `feed` tells a page that the numbering restarted: another reader may have thinned out other rounds, rounds were
    undone, or the run was restarted with added lanes.
    """

    store: Store
    run: str
    after: int = 0
    rows: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in FEEDS})
    state: Value = field(default_factory=dict)
    rounds: int = 0
    warnings: list[Value] = field(default_factory=list)
    noted: set[str] = field(default_factory=set)  # lanes whose method's notes were shown: those of their first round
    moved: dict[str, dict[int, int]] = field(default_factory=dict)  # by lane: edited layers, since which round
    begins: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # where lanes branched from
    trouble: Callable[[], str] = lambda: ""  # why no worker can be started
    beside: Mapping[str, Beside] = field(default_factory=dict)
    seen: dict[str, Value] = field(default_factory=dict)  # of what stands beside the run
    feed: str = field(default_factory=lambda: secrets.token_hex(4))

    def poll(self) -> dict[str, Value]:
        """The changed feeds: `{"run", "feed", "rows": {number: row}}` each, and for "status" also its `state`."""
        events = self.store.events(self.run, self.after)
        if self.after and any(event["kind"] in ("undone", "started") for _, event in events):
            events = self._anew()
        before = {name: len(rows) for name, rows in self.rows.items()}
        stand = standing(event for _, event in events)
        kept = kept_rounds(stand) if self.after == 0 else None
        for event in stand:
            self._take(event, kept)
        self.after = events[-1][0] if events else self.after
        state = self._state()
        changed = [name for name in FEEDS if len(self.rows[name]) > before[name]]
        if state != self.state and "status" not in changed:
            changed.append("status")
        self.state = state
        aside = {name: value for name, look in self.beside.items() if (value := look(self.run)) != self.seen.get(name)}
        self.seen |= aside
        return {name: self.value(name, before[name]) for name in changed} | aside

    def value(self, name: str, known: int | None = None) -> Value:
        """A feed's rows, starting a little before number `known` (the last one)."""
        rows = self.rows[name]
        first = max(0, (len(rows) if known is None else known) - WINDOW)
        numbered = {str(number): row for number, row in enumerate(rows[first:], start=first)}
        value: Value = {"run": self.run, "feed": self.feed, "rows": numbered}
        return value | {"state": self.state} if name == "status" else value

    @property
    def live(self) -> bool:
        """Whether the run is active or queued."""
        return self.state.get("status") in ("queued", "running") or any(v.get("live") for v in self.seen.values())

    def _anew(self) -> list[tuple[int, dict[str, Any]]]:
        """Read all events again, after rounds were undone or lanes added; they replace the rows that were sent."""
        self.rows, self.warnings, self.noted, self.after = {name: [] for name in FEEDS}, [], set(), 0
        self.feed, self.moved, self.begins = secrets.token_hex(4), {}, {}
        return self.store.events(self.run)

    def _take(self, event: Mapping[str, Any], kept: set[int] | None) -> None:
        kind = event["kind"]
        if kind == "started":
            self.rounds = event["rounds"]
            self.begins = {lane["label"]: lane["from"] for lane in event["lanes"] if lane.get("from")}
            self._start(event)
        elif kind == "measured":
            whole = kept is None or event["round"] in kept
            for panel in PANELS:
                if whole or not panel.snapshot:
                    self._add(panel.key, panel.row(event))
            if whole:
                self._add("words", words(event))
            edits = (event.get("scores") or {}).get("edits")
            row = {"lane": event["lane"], "round": event["round"], "edits": edits}
            self._add("status", row | {"moved": sorted(self._moved(event["lane"], event["round"]))})
        elif kind == "edited":
            own = self.moved.setdefault(event["lane"], {})
            for found in event.get("layers") or ():
                own.setdefault(found["layer"], event["round"])
            for note in event.get("notes") or () if event["lane"] not in self.noted else ():
                self._warn({"message": note, "level": "info", "lane": event["lane"], "round": event["round"]})
            self.noted.add(event["lane"])
        elif kind == "warned":
            self._warn(event)

    def _moved(self, lane: str, number: int) -> set[int]:
        """The layers that a lane has edited up to a round, including those of its parent lane."""
        own = {layer for layer, since in self.moved.get(lane, {}).items() if since <= number}
        begins = self.begins.get(lane)
        return own | self._moved(begins["lane"], min(number, begins["round"])) if begins else own

    def _warn(self, event: Mapping[str, Any]) -> None:
        kept = {name: event.get(name) for name in ("message", "level", "lane", "round")}
        self.warnings = [*self.warnings[-19:], kept]

    def _start(self, event: Mapping[str, Any]) -> None:
        lanes = [lane["label"] for lane in event["lanes"]]
        common = {"start": True, "lanes": lanes, "layers": event["layers"]}
        if self.rows["status"]:
            return  # resumed: the first start said it all
        model = {name: event["model"].get(name) for name in ("reference", "parameters", "n_layers", "d_model", "d_ffn")}
        self._add(
            "status",
            common | {"rounds": event["rounds"], "facts": event["facts"], "model": model},
        )
        for panel in PANELS:
            self._add(panel.key, common | panel.begun(event).as_dict())
        self._add("words", common)

    def _add(self, name: str, row: Value | None) -> None:
        if row is not None:
            self.rows[name].append(json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":")))

    def _state(self) -> Value:
        run = self.store.get(self.run, spec=False)
        if run is None:
            return {"status": "missing", "message": "This run does not exist: it was deleted, or the address is wrong."}
        state: Value = {
            "status": run.status,
            "says": text.STATES.get(run.status, run.status),
            "title": run.title,
            "message": run.message,
            "position": run.position,
            "rounds": self.rounds,
            "warnings": self.warnings[-5:],
        }
        if run.status in ("queued", "running"):
            state |= self._worker()
        if run.status == "running" and (progress := self.store.progress(self.run)):
            state |= doing(progress)
        return state

    def _worker(self) -> Value:
        worker = self.store.worker()
        if worker is not None and worker.alive:
            return {}
        if trouble := self.trouble():
            return {"notice": trouble}
        gone = worker is not None and self.rows["status"]
        return {
            "notice": "The worker stopped. A new one continues from the last round."
            if gone
            else "The worker is starting."
        }


def doing(progress: Mapping[str, Any]) -> Value:
    """The progress of a run, in words and shares: `part` of the phase, `whole` of the run, both 0..1."""
    total, run_total = progress.get("total") or 0, progress.get("run_total") or 0
    return {
        "phase": text.doing(progress["phase"], progress["done"], total),
        "lane": progress.get("lane"),
        "round": progress.get("round"),
        "part": round(min(1.0, progress["done"] / total), 3) if total else None,
        "whole": round(min(1.0, progress.get("run_done", 0) / run_total), 4) if run_total else None,
        "left": text.lasting(progress.get("eta_seconds")),
        "doing": progress.get("message") or "",
    }


def kept_rounds(events: Iterable[Mapping[str, Any]], most: int = SNAPSHOTS) -> set[int]:
    """The measured rounds that keep their large rows when a run is opened again: all of a short run, else the first,
    the last and evenly spaced ones between."""
    rounds = sorted({event["round"] for event in events if event["kind"] == "measured"})
    if len(rounds) <= most:
        return set(rounds)
    return {rounds[round(i * (len(rounds) - 1) / (most - 1))] for i in range(most)}


async def watch(
    store: Store,
    run: str | None,
    trouble: Callable[[], str],
    beside: Mapping[str, Beside] = NOTHING,
    listened_to: Callable[[], bool] = lambda: True,
) -> AsyncIterator[dict[str, Value]]:
    """The changed feeds of a run, while a page listens. Errors of the store are reported, and reading is retried."""
    if not run:
        return
    reader, told = Reader(store, run, trouble=trouble, beside=beside), time.monotonic()
    while listened_to():
        try:
            changed = await asyncio.to_thread(reader.poll)
        except UserError as error:
            reader.state = {"status": "failed", "message": str(error)}
            changed = {"status": reader.value("status")}
        if not changed and time.monotonic() - told > BEAT:
            changed = {"status": reader.value("status") | {"beat": int(time.time())}}
        if changed:
            told = time.monotonic()
            yield changed
        if reader.state.get("status") == "missing":
            return
        await asyncio.sleep(LIVE if reader.live else IDLE)
