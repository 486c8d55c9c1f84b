"""The folder of a run: its spec (`spec.json`), its events (`events.jsonl`), and tables of them (CSV).

All files follow from the events, so they are rewritten identically after a crash. Files are replaced atomically: a
reader never sees a partial file.
"""

from __future__ import annotations

import csv
import io
import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.runs.progress.events import SEQUENTIAL, SINGLE, plain, standing, to_json
from core.scores import names as score_names

ROUNDS = ("lane", "round", "protocol", "edits", "scored", *score_names())
SECONDS = ("edit_seconds", "per_edit_seconds", "setup_seconds", "measure_seconds")  # alone differ in a repeated run
LAYERS = (
    *("lane", "round", "layer", "rounds_edited", "dominant_rank", "ls", "ss_right", "ss_left"),
    *("frobenius", "spectral", "condition", "numerical_rank", "rank_tolerance"),
    *("drift_right", "drift_left", "delta_frobenius", "removed_share", "key_overlap"),
    *("rk_median", "rk_q90", "rk_over_1"),
)
EDITED = ("delta_frobenius", "removed_share", "key_overlap")  # what the edit of a round says of its layers
FACTS = ("lane", "fact", "id", "round", "subject", "prompt", "target", "truth", "before", "after", "said")
WRITE_SECONDS = 1.0  # between two writings of the tables during a run


class RunFolder:
    """The files of one run under `path`. `suffix` keeps tables of later measurements beside the first ones."""

    def __init__(self, path: Path, suffix: str = ""):
        self.path, self._suffix = path, suffix
        self._rounds: dict[tuple[str, int], dict[str, Any]] = {}
        self._layers: dict[tuple[str, int, int], dict[str, Any]] = {}
        self._edits: dict[tuple[str, int], dict[int, Any]] = {}
        self._often: dict[tuple[str, int], Counter[int]] = {}
        self._begins: dict[str, Mapping[str, Any]] = {}
        self._order: list[str] = []
        self._protocol = SEQUENTIAL
        self._written = 0.0

    @property
    def ledger(self) -> Path:
        """The folder with the updates of each lane and round."""
        return self.path / "ledger"

    def write_spec(self, spec: Mapping[str, Any]) -> None:
        """Write `spec.json`: the spec with its defaults filled in, and its `resolved` part."""
        replace_text(self.path / "spec.json", json.dumps(plain(spec), indent=2, ensure_ascii=False) + "\n")

    def read_spec(self) -> dict[str, Any] | None:
        """The content of `spec.json`, or None if there is none. Raises `UserError` for a damaged file."""
        path = self.path / "spec.json"
        try:
            written = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError):
            written = None
        if not isinstance(written, dict):
            raise UserError(f"{path}: is damaged; restore it from a copy, or make the run anew")
        return written

    def restore(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Rewrite all files from the committed events: `events.jsonl` from all of them, the tables from those that were
        not undone."""
        events = list(events)
        self._rounds, self._layers, self._edits = {}, {}, {}
        self.take(standing(events))
        replace_text(self.path / "events.jsonl", "".join(to_json(event) + "\n" for event in events))
        self.write_tables()

    def take(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Add events to the tables in memory, without writing."""
        for event in events:
            self._take(event)

    def file(self, table: str) -> Path:
        """The path of a table."""
        return self.path / f"{table}{self._suffix}.csv"

    def add(self, event: Mapping[str, Any]) -> None:
        """Add a committed event: to `events.jsonl` at once, to the tables within a second."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(to_json(event) + "\n")
        self._take(event)
        if event["kind"] == "finished" or time.monotonic() - self._written > WRITE_SECONDS:
            self.write_tables()

    def write_tables(self) -> None:
        """Write `rounds.csv` and `layers.csv`: a row per lane and measured round (and layer), ordered by round."""
        rounds = [self._rounds[key] for key in sorted(self._rounds, key=lambda key: (key[1], self._place(key[0])))]
        layers = [self._layers[key] for key in sorted(self._layers, key=lambda k: (k[1], self._place(k[0]), k[2]))]
        tasks = sorted({name for row in rounds for name in row if name.startswith("task_")} - {"task_mean"})
        extra = [name for row in rounds for name in row if name not in (*ROUNDS, *SECONDS, *tasks)]
        columns = (*ROUNDS, *tasks, *dict.fromkeys(extra), *SECONDS)
        self._table("rounds", columns, rounds)
        more = [name for row in layers for name in row if name not in LAYERS]
        self._table("layers", (*LAYERS, *dict.fromkeys(more)), layers)
        self._written = time.monotonic()

    def write_facts(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write `facts.csv`: the prompts, and the model's answers before and after."""
        extra = [name for row in rows for name in row if name not in FACTS]
        self._table("facts", (*FACTS, *dict.fromkeys(extra)), rows)

    def _take(self, event: Mapping[str, Any]) -> None:
        if event["kind"] == "started":
            self._order = [lane["label"] for lane in event["lanes"]]
            self._protocol = event.get("protocol") or SEQUENTIAL
            self._begins = {lane["label"]: lane["from"] for lane in event["lanes"] if lane.get("from")}
        if event["kind"] == "edited":
            lane, number = event["lane"], event["round"]
            self._edits[lane, number] = {layer["layer"]: layer for layer in event["layers"]}
            before = Counter[int]() if self._protocol == SINGLE else self._so_far(lane, number - 1)
            self._often[lane, number] = before + Counter(self._edits[lane, number].keys())
        if event["kind"] != "measured":
            return
        lane, number = event["lane"], event["round"]
        scores = {name: value for name, value in event["scores"].items() if not isinstance(value, (dict, list))}
        self._rounds[lane, number] = {**scores, "lane": lane, "round": number, "protocol": self._protocol}
        for row in event["layers"]:
            edit = self._edits.get((lane, number), {}).get(row["layer"], {})
            shares = {name: edit.get(name) for name in EDITED}
            own = {name: value for name, value in row.items() if value is not None}
            often = {"rounds_edited": self._so_far(lane, number)[row["layer"]]}
            self._layers[lane, number, row["layer"]] = {**row, **shares, **own, **often, "lane": lane, "round": number}

    def _so_far(self, lane: str, number: int) -> Counter[int]:
        """The number of rounds up to this one that edited each layer, including rounds before a branch."""
        while (begins := self._begins.get(lane)) and number <= begins["round"]:
            lane = begins["lane"]
        return self._often.get((lane, number), Counter())

    def _place(self, lane: str) -> int:
        return self._order.index(lane) if lane in self._order else len(self._order)

    def _table(self, name: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
        replace_text(self.file(name), csv_text(columns, rows))


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """A table as CSV with a header; None and missing cells are empty.

    Lines end with a line feed. A lone carriage return, which readers treat as the end of a row, is quoted: Python's
    writer does that only if its own line end contains one.
    """
    lines = []
    for row in (dict(zip(columns, columns, strict=True)), *rows):
        line = io.StringIO(newline="")
        csv.DictWriter(line, columns, restval="", lineterminator="\r\n").writerow(row)
        lines.append(line.getvalue().removesuffix("\r\n") + "\n")
    return "".join(lines)


def replace_text(path: Path, text: str) -> None:
    """Write a file atomically: it holds the old text or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
