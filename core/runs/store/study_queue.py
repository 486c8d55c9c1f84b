"""The queue of the page's studies, with their progress and results. Needs no torch.

A study is queued separately from the runs. Its result is a file in the folder of its run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import clipped
from core.runs.progress.events import Progress, to_json
from core.runs.store.database import Database
from core.runs.store.folder import replace_text
from core.runs.store.turns import in_turn

STUDIES = """
CREATE TABLE studies (id INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, owner TEXT NOT NULL, asked TEXT NOT NULL,
    status TEXT NOT NULL, message TEXT NOT NULL DEFAULT '', file TEXT NOT NULL DEFAULT '', created REAL NOT NULL,
    queued REAL NOT NULL, started REAL, ended REAL, attempts INTEGER NOT NULL DEFAULT 0,
    progress TEXT NOT NULL DEFAULT 'null');
CREATE INDEX studies_of_run ON studies (run)
"""
FOLDER = "studies"  # in a run's folder


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request for a study. `lanes` None means all; `rounds` is "all", "last" or numbers separated by commas."""

    name: str
    options: dict[str, Any]
    lanes: list[str] | None
    rounds: str


@dataclass(frozen=True, kw_only=True)
class StudyState:
    """One study of a run. `status`: queued, running, done, stopped or failed. `position` is its place in the queue from
    1 (0: not queued). `progress` is the latest `Progress` event while it is running. `file`, in the run's folder, holds
    the result once it is done. Times are seconds since 1970."""

    id: int
    run: str
    owner: str
    asked: Asked
    status: str
    message: str
    position: int
    created: float
    started: float | None
    ended: float | None
    attempts: int
    progress: dict[str, Any] | None
    file: str


class StudyQueue:
    """The studies in a store's database."""

    def __init__(self, database: Database):
        self._database = database

    def add(self, run: str, owner: str, asked: Asked) -> int:
        """Add a study to the queue; returns its number."""
        now = time.time()
        with self._database.writing() as db:
            cursor = db.execute(
                "INSERT INTO studies (run, owner, asked, status, created, queued) VALUES (?,?,?,'queued',?,?)",
                (run, owner, to_json(vars(asked)), now, now),
            )
        return int(cursor.lastrowid or 0)

    def get(self, study: int) -> StudyState | None:
        """The study, or None if there is none of that number."""
        rows = self._database.read("SELECT * FROM studies WHERE id = ?", (study,))
        return self._study(rows[0], self.queue()) if rows else None

    def of(self, run: str) -> list[StudyState]:
        """All studies of a run, newest first."""
        queue = self.queue()
        rows = self._database.read("SELECT * FROM studies WHERE run = ? ORDER BY id DESC", (run,))
        return [self._study(row, queue) for row in rows]

    def queue(self) -> list[int]:
        """Numbers of the queued studies, in the order in which they will run: owners take turns."""
        return in_turn(self._database.read("SELECT id, owner, status, queued, started FROM studies"))

    def next(self) -> StudyState | None:
        """The study that runs next, or None."""
        queue = self.queue()
        return self.get(queue[0]) if queue else None

    def result(self, folder: Path, study: StudyState) -> dict[str, Any] | None:
        """The result of a study (`opened.study.study`), read from its run's `folder`; None if there is no such file."""
        try:
            return json.loads((folder / study.file).read_text(encoding="utf-8")) if study.file else None
        except (OSError, ValueError):
            return None

    # -- for the worker

    def claim(self, study: int) -> None:
        """Mark a study as running."""
        with self._database.writing() as db:
            db.execute("UPDATE studies SET attempts = attempts + 1 WHERE id = ?", (study,))
        self._change(study, status="running", message="", started=time.time())

    def set_progress(self, study: int, progress: Progress) -> None:
        """Store the progress of a study."""
        self._change(study, progress=to_json(progress))

    def put_back(self, study: int, died: bool = False) -> None:
        """Queue a study again at its former place; it starts over. Attempts count only if the worker `died`."""
        counted = {} if died else {"attempts": 0}
        self._change(study, status="queued", message="", progress="null", **counted)

    def finish(self, folder: Path, study: StudyState, result: Mapping[str, Any]) -> None:
        """Store the result in a file of the run's folder, then mark the study as done."""
        file = f"{FOLDER}/{study.id:06d}-{study.asked.name}.json"
        stored = {**result, "asked": vars(study.asked) | {"owner": study.owner, "created": study.created}}
        replace_text(folder / file, json.dumps(stored, ensure_ascii=False, allow_nan=False) + "\n")
        self._change(study.id, status="done", message="", file=file, ended=time.time(), progress="null")

    def end(self, study: int, status: str, message: str) -> None:
        """Mark a study as stopped or failed, with a message."""
        self._change(study, status=status, message=clipped(message), ended=time.time(), progress="null")

    def left_running(self) -> list[StudyState]:
        """Studies marked as running. When a worker starts, these were left by a worker that died."""
        rows = self._database.read("SELECT * FROM studies WHERE status = 'running'")
        return [self._study(row, []) for row in rows]

    def delete(self, folder: Path, study: StudyState) -> None:
        """Delete a study that is not running, and its result."""
        if study.file:
            (folder / study.file).unlink(missing_ok=True)
        with self._database.writing() as db:
            db.execute("DELETE FROM studies WHERE id = ?", (study.id,))

    @staticmethod
    def refill(db: Any, run: str, saved: Mapping[str, Any]) -> None:
        """Add a finished study to a new database, from what its file says about it."""
        asked = {name: saved[name] for name in ("name", "options", "lanes", "rounds")}
        created = saved["created"]
        columns = "run, owner, asked, status, file, created, queued, ended"
        row = (run, saved["owner"], to_json(asked), "done", saved["file"], created, created, created)
        db.execute(f"INSERT INTO studies ({columns}) VALUES (?,?,?,?,?,?,?,?)", row)

    def _change(self, study: int, **changes: Any) -> None:
        columns = ", ".join(f"{name} = ?" for name in changes)
        with self._database.writing() as db:
            db.execute(f"UPDATE studies SET {columns} WHERE id = ?", (*changes.values(), study))

    @staticmethod
    def _study(row: Mapping[str, Any], queue: list[int]) -> StudyState:
        names = ("id", "run", "owner", "status", "message", "created", "started", "ended", "attempts", "file")
        return StudyState(
            **{name: row[name] for name in names},
            asked=Asked(**json.loads(row["asked"])),
            position=queue.index(row["id"]) + 1 if row["id"] in queue else 0,
            progress=json.loads(row["progress"]),
        )
