"""The queue of the page's commands to the worker, with their progress and answers. Needs no torch."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import UserError, clipped, nearest
from core.runs.progress.events import Progress, plain, to_json
from core.runs.store.database import Database

TRIED = """
ALTER TABLE commands ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE commands ADD COLUMN progress TEXT NOT NULL DEFAULT 'null'
"""
ACTIONS = ("pause", "resume", "step", "stop", "undo", "add_lanes", "delete")  # change what a run does
STUDY = ("study", "stop_study", "delete_study")  # ask for a study of a run, or give one up
QUESTIONS = ("probe", "map", "fact", "film", "sandbox", "export")  # are answered with a payload
COMMANDS = ACTIONS + STUDY + QUESTIONS
WITHDRAWN = "Stopped; nothing of it was kept."
MOST_WAITING = 1_000  # commands of all visitors
LARGEST_PAYLOAD = 2_000_000  # characters of one


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command of the page to the worker. `state`: waiting, done or failed (then `answer` is {"message": …}, with
    "withdrawn" if it was withdrawn). While it waits, `attempts` counts how often a worker began with it, and `progress`
    is its latest `Progress` event."""

    id: int
    run: str
    kind: str
    payload: dict[str, Any]
    state: str
    answer: Any = None
    attempts: int = 0
    progress: dict[str, Any] | None = None


class CommandQueue:
    """The commands in a store's database. Each is answered once; a second answer is ignored."""

    def __init__(self, database: Database):
        self._database = database

    def ask(self, run: str, kind: str, payload: Mapping[str, Any] | None = None) -> int:
        """Add a command to the end of the queue; returns its number. `core.runs.store.store.Store.command` lists the
        commands."""
        if kind not in COMMANDS:
            raise UserError(f'unknown command "{kind}"; {nearest(kind, COMMANDS)}')
        row = (run, kind, to_json(payload or {}), "waiting", time.time())
        if len(row[2]) > LARGEST_PAYLOAD:
            raise UserError(f"{len(row[2]):,} characters are more than can be asked at once; ask for less")
        with self._database.writing() as db:
            waiting = db.execute("SELECT COUNT(*) FROM commands WHERE state = 'waiting'").fetchone()[0]
            if waiting >= MOST_WAITING and kind in (
                *QUESTIONS,
                *STUDY,
            ):  # commands that steer a run are always accepted
                raise UserError(f"{waiting:,} questions wait to be answered; ask again when there are fewer")
            cursor = db.execute("INSERT INTO commands (run, kind, payload, state, created) VALUES (?,?,?,?,?)", row)
        return int(cursor.lastrowid or 0)

    def get(self, command: int) -> Command | None:
        """The command, or None if there is none of that number."""
        rows = self._database.read("SELECT * FROM commands WHERE id = ?", (command,))
        return _command(rows[0]) if rows else None

    def waiting(self, run: str | None = None, kind: str | None = None) -> list[Command]:
        """Unanswered commands, oldest first: all, or those of a run or of a kind."""
        rows = self._database.read("SELECT * FROM commands WHERE state = 'waiting' ORDER BY id")
        return [_command(row) for row in rows if run in (None, row["run"]) and kind in (None, row["kind"])]

    def withdraw(self, command: int) -> bool:
        """Withdraw a command; returns whether it was still waiting. A worker that is answering it stops soon."""
        return self.end(command, {"message": WITHDRAWN, "withdrawn": True}, failed=True)

    # -- for the worker

    def begin(self, command: int) -> None:
        """Count one more attempt."""
        self._change(command, "attempts = attempts + 1, progress = 'null'")

    def put_back(self, command: int) -> None:
        """Let it wait again, with no attempts."""
        self._change(command, "attempts = 0, progress = 'null'")

    def set_progress(self, command: int, progress: Progress) -> None:
        """Store the progress of a command."""
        self._change(command, "progress = ?", to_json(progress))

    def end(self, command: int, answer: Any = None, failed: bool = False) -> bool:
        """Store the answer, `failed` with {"message": …}; returns whether the command was still waiting."""
        if failed and isinstance(answer, Mapping) and "message" in answer:
            answer = {**answer, "message": clipped(answer["message"])}
        row = ("failed" if failed else "done", json.dumps(plain(answer)), time.time())
        return self._change(command, "state = ?, answer = ?, answered = ?, progress = 'null'", *row)

    def _change(self, command: int, changes: str, *values: Any) -> bool:
        with self._database.writing() as db:
            cursor = db.execute(f"UPDATE commands SET {changes} WHERE id = ? AND state = 'waiting'", (*values, command))
        return cursor.rowcount > 0


def _command(row: Mapping[str, Any]) -> Command:
    fields = {name: row[name] for name in ("id", "run", "kind", "state", "attempts")}
    decoded = {name: json.loads(row[name]) for name in ("payload", "answer", "progress")}
    return Command(**fields, **decoded)
