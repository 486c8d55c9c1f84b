"""Restores the list of runs from their folders after the database was lost."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.runs.progress.events import KINDS, STATUSES
from core.runs.store.folder import replace_text
from core.runs.store.study_queue import FOLDER

FILE = "run.json"
RECOVERED = "Found again in its folder after the database was lost; it can be resumed."


@dataclass(frozen=True)
class SavedRun:
    """A run as restored from its folder: the row of the database, the committed events and the finished studies."""

    row: dict[str, Any]
    events: list[dict[str, Any]]
    studies: list[dict[str, Any]] = field(default_factory=list)


def save(folder: Path, row: Mapping[str, Any]) -> None:
    """Write the run's row of the database (`id, owner, title, notes, created, spec`) to its folder too."""
    replace_text(folder / FILE, json.dumps(dict(row), ensure_ascii=False) + "\n")


def saved_runs(home: Path) -> Iterator[SavedRun]:
    """All runs whose folders under `home` can be read, oldest first. Unreadable folders are skipped."""
    runs = []
    for file in [home / FILE, *(home / "runs").glob(f"*/{FILE}")]:
        try:
            row = json.loads(file.read_text(encoding="utf-8"))
            row = {name: row[name] for name in ("id", "owner", "title", "created", "spec")} | {
                "notes": str(row.get("notes", ""))  # older folders have none
            }
            if not all(isinstance(row[name], str) for name in ("id", "owner", "title")):
                continue
            row["created"] = float(row["created"])
        except (OSError, ValueError, OverflowError, RecursionError, KeyError, TypeError):
            continue
        events = _events(file.with_name("events.jsonl"))
        last = events[-1] if events else {}
        ended = last.get("kind") == "finished" and last.get("status") in STATUSES
        status, message = (last["status"], last.get("message", "")) if ended else ("stopped", RECOVERED)
        folder = file.parent.relative_to(home).as_posix()
        row |= {"folder": folder, "status": status, "message": message}
        runs.append(SavedRun(row, events, _studies(file.parent)))
    yield from sorted(runs, key=lambda run: run.row["created"])


def _studies(folder: Path) -> list[dict[str, Any]]:
    """The studies in a run's folder: the request (`study_queue.Asked`, with owner and time) and the file."""
    studies = []
    for path in sorted(folder.glob(f"{FOLDER}/*.json")):
        try:
            studies.append({**json.loads(path.read_text(encoding="utf-8"))["asked"], "file": f"{FOLDER}/{path.name}"})
        except (OSError, ValueError, RecursionError, KeyError, TypeError):
            continue
    return studies


def _events(path: Path) -> list[dict[str, Any]]:
    """The events of a file up to the first damaged line."""
    events: list[dict[str, Any]] = []
    try:
        lines = path.read_text(encoding="utf-8").split(
            "\n"
        )  # `splitlines` would also split at other line ends of Unicode
    except (OSError, UnicodeDecodeError):
        return events
    for line in lines:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(event, dict) or event.get("kind") not in KINDS:
            break
        events.append(event)
    return events
