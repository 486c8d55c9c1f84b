"""The store: runs, their events, and the queue. Shared by the page and the worker; needs no torch.

`HOME/lab.sqlite` holds the runs, their events (append-only, numbered from 1 in each run), the latest progress, and the
commands that the page sends to the worker. `HOME/runs/<id>/` holds what is large or meant to be read: the ledger of
updates and the tables.
"""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import UserError, clipped
from core.runs.progress.events import Event, plain, to_json
from core.runs.store.commands import TRIED, Command, CommandQueue
from core.runs.store.database import Database
from core.runs.store.recovery import FILE, save, saved_runs
from core.runs.store.study_queue import STUDIES, StudyQueue
from core.runs.store.turns import in_turn

FIRST = """
CREATE TABLE runs (id TEXT PRIMARY KEY, owner TEXT NOT NULL, title TEXT NOT NULL, spec TEXT NOT NULL,
    folder TEXT NOT NULL, status TEXT NOT NULL, message TEXT NOT NULL DEFAULT '', created REAL NOT NULL,
    queued REAL NOT NULL, started REAL, ended REAL, attempts INTEGER NOT NULL DEFAULT 0,
    steps INTEGER NOT NULL DEFAULT 0);
CREATE TABLE events (run TEXT NOT NULL, seq INTEGER NOT NULL, created REAL NOT NULL, event TEXT NOT NULL,
    PRIMARY KEY (run, seq)) WITHOUT ROWID;
CREATE TABLE progress (run TEXT PRIMARY KEY, event TEXT NOT NULL);
CREATE TABLE commands (id INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, kind TEXT NOT NULL,
    payload TEXT NOT NULL, state TEXT NOT NULL, answer TEXT NOT NULL DEFAULT 'null', created REAL NOT NULL,
    answered REAL);
CREATE INDEX waiting ON commands (state);
CREATE TABLE worker (one INTEGER PRIMARY KEY CHECK (one = 1), pid INTEGER, beat REAL, doing TEXT, run TEXT)
"""
SCHEMA = (FIRST, "ALTER TABLE runs ADD COLUMN notes TEXT NOT NULL DEFAULT ''", STUDIES, TRIED)
SAVED = ("id", "owner", "title", "notes", "created")  # columns of a run that its folder stores besides the spec
NEW_RUN = "INSERT INTO runs (id, owner, title, spec, folder, status, created, queued) VALUES (?,?,?,?,?,?,?,?)"
COLUMNS = "id, owner, title, notes, folder, status, message, created, started, ended, attempts, steps"
LONGEST_TITLE, LONGEST_NOTES = 200, 20_000  # characters
SILENT_AFTER = 15.0  # seconds without a heartbeat after which a worker counts as dead


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run. Times are seconds since 1970. `position` is the place in the queue from 1 (0: not queued). `spec` is the
    requested spec, None if it was not read. `folder` holds the ledger and tables. `steps` > 0: pause after so many
    rounds."""

    id: str
    owner: str
    title: str
    status: str
    message: str
    created: float
    started: float | None
    ended: float | None
    position: int
    folder: Path
    notes: str = ""
    spec: dict[str, Any] | None = None
    attempts: int = 0
    steps: int = 0


@dataclass(frozen=True, kw_only=True)
class WorkerState:
    """The worker's last heartbeat: `alive` is false if it is too old."""

    pid: int
    beat: float
    doing: str
    run: str | None
    alive: bool


class Store:
    """All runs under one home folder. Safe to use from several threads and processes.

    `notice` is a message for the person if the database was damaged and had to be set aside. `studies` and `commands`
    are the queues. Raises `UserError` if the folder cannot be used, and `DiskFull` from any method that writes.
    """

    def __init__(self, home: Path | str):
        self.home = Path(home).expanduser().resolve()
        self._database = Database(self.home / "lab.sqlite", SCHEMA, self._refill)
        self.studies = StudyQueue(self._database)
        self.commands = CommandQueue(self._database)
        self.notice = self._database.open()

    def close(self) -> None:
        """Close the database connection of this process."""
        self._database.close()

    # -- runs

    def create_run(self, spec: Mapping[str, Any], owner: str = "", title: str = "", folder: str | None = None) -> str:
        """Add a run to the end of the queue; returns its id, which cannot be guessed.

        `spec` is a dictionary that `RunSpec.from_dict` has accepted. `folder` is relative to home.
        """
        run, now = secrets.token_hex(10), time.time()
        row = (run, owner, title or titled(spec), to_json(spec), folder or f"runs/{run}", "queued", now, now)
        with self._database.writing() as db:
            db.execute(NEW_RUN, row)
            known = {"id": run, "owner": owner, "title": row[2], "notes": "", "created": now, "spec": plain(spec)}
            save(self.home / row[4], known)
        return run

    def get(self, run: str, spec: bool = True) -> Run | None:
        """The run, or None if there is none of that id. `spec=False` does not read the spec, which may be large."""
        columns = f"{COLUMNS}, spec" if spec else COLUMNS
        rows = self._database.read(f"SELECT {columns} FROM runs WHERE id = ?", (run,))
        return self._run(rows[0], self.queue()) if rows else None

    def runs(self, owner: str | None = None) -> list[Run]:
        """Runs, newest first, of one owner or of all; without their specs."""
        where, values = ("", ()) if owner is None else ("WHERE owner = ?", (owner,))
        rows = self._database.read(f"SELECT {COLUMNS} FROM runs {where} ORDER BY created DESC, rowid DESC", values)
        queue = self.queue()
        return [self._run(row, queue) for row in rows]

    def rename(self, run: str, title: str) -> None:
        """Give a run another title; raises `UserError` for an empty or very long one."""
        title = " ".join(title.split())
        if not 0 < len(title) <= LONGEST_TITLE:
            raise UserError(f"a title has 1 to {LONGEST_TITLE} letters, not {len(title):,}")
        self._tell(run, title=title)

    def note(self, run: str, notes: str) -> None:
        """Replace a person's notes about a run."""
        if len(notes) > LONGEST_NOTES:
            raise UserError(f"notes have at most {LONGEST_NOTES:,} letters, not {len(notes):,}")
        self._tell(run, notes=notes)

    def extend(self, run: str, spec: Mapping[str, Any], message: str) -> None:
        """Give a run that is not running a spec with more lanes, and queue it (`core.runs.store.additions.add_lanes`
        checks the conditions)."""
        self._tell(run, queued=message, spec=to_json(spec))

    def _tell(self, run: str, queued: str | None = None, **changes: str) -> None:
        """Change a run's title, notes or spec, in the database and in its folder."""
        with self._database.writing() as db:
            for name, value in changes.items():
                db.execute(f"UPDATE runs SET {name} = ? WHERE id = ?", (value, run))
            if queued is not None:
                self._set_status(db, run, "queued", queued)
            row = db.execute("SELECT * FROM runs WHERE id = ?", (run,)).fetchone()
            if row is not None:
                save(self.home / row["folder"], {name: row[name] for name in SAVED} | {"spec": json.loads(row["spec"])})

    def delete(self, run: str) -> None:
        """Delete a run with its events, commands and folder. A running run must be stopped first; the command "delete"
        does both."""
        stored = self.get(run)
        if stored is None:
            return
        (stored.folder / FILE).unlink(missing_ok=True)
        if stored.folder != self.home:
            shutil.rmtree(stored.folder, ignore_errors=True)
        with self._database.writing() as db:
            db.execute("DELETE FROM runs WHERE id = ?", (run,))
            for table in ("events", "progress", "commands", "studies"):
                db.execute(f"DELETE FROM {table} WHERE run = ?", (run,))

    # -- events

    def events(self, run: str, after: int = 0) -> list[tuple[int, dict[str, Any]]]:
        """The run's events with numbers greater than `after`, oldest first, each with its number."""
        rows = self._database.read("SELECT seq, event FROM events WHERE run = ? AND seq > ? ORDER BY seq", (run, after))
        return [(row["seq"], json.loads(row["event"])) for row in rows]

    def append(self, run: str, events: Iterable[Event], status: str | None = None, message: str = "") -> int:
        """Commit events, and a change of status with them, in one transaction; returns the last number."""
        with self._database.writing() as db:
            last = db.execute("SELECT COALESCE(MAX(seq), 0) FROM events WHERE run = ?", (run,)).fetchone()[0]
            for event in events:
                last += 1
                db.execute("INSERT INTO events VALUES (?,?,?,?)", (run, last, time.time(), to_json(event)))
                if event.kind in ("edited", "measured"):
                    db.execute("UPDATE runs SET attempts = 0 WHERE id = ?", (run,))
            if status is not None:
                self._set_status(db, run, status, message)
        return int(last)

    def progress(self, run: str) -> dict[str, Any] | None:
        """The latest progress event, or None."""
        rows = self._database.read("SELECT event FROM progress WHERE run = ?", (run,))
        return json.loads(rows[0]["event"]) if rows else None

    def set_progress(self, run: str, event: Event | None) -> None:
        """Replace or delete the latest progress event."""
        with self._database.writing() as db:
            if event is None:
                db.execute("DELETE FROM progress WHERE run = ?", (run,))
            else:
                db.execute("INSERT OR REPLACE INTO progress VALUES (?,?)", (run, to_json(event)))

    # -- the queue

    def queue(self) -> list[str]:
        """Ids of the queued runs, in the order in which they will run: owners take turns."""
        return in_turn(self._database.read("SELECT id, owner, status, queued, started FROM runs"))

    def next_queued(self, spec: bool = True) -> Run | None:
        """The run that is next in the queue, or None."""
        queue = self.queue()
        return self.get(queue[0], spec) if queue else None

    def claim(self, run: str) -> None:
        """Mark a run as running, and count one more attempt since its last commit."""
        with self._database.writing() as db:
            self._set_status(db, run, "running", "")
            db.execute("UPDATE runs SET attempts = attempts + 1, steps = 0 WHERE id = ?", (run,))

    def set_status(self, run: str, status: str, message: str = "") -> None:
        """Change a run's status (one of `events.STATUSES`) and the sentence that explains it."""
        with self._database.writing() as db:
            self._set_status(db, run, status, message)

    def queue_steps(self, run: str, rounds: int) -> None:
        """Queue a run, to be paused again after `rounds` rounds."""
        with self._database.writing() as db:
            self._set_status(db, run, "queued", "")
            db.execute("UPDATE runs SET steps = ? WHERE id = ?", (rounds, run))

    def requeue(self, run: str) -> None:
        """Queue a run whose worker died at its former place, without resetting its attempts."""
        with self._database.writing() as db:
            db.execute("UPDATE runs SET status = 'queued', message = '' WHERE id = ?", (run,))

    def left_running(self) -> list[Run]:
        """Runs marked as running. When a worker starts, these were left by a worker that died."""
        rows = self._database.read(f"SELECT {COLUMNS} FROM runs WHERE status = 'running'")
        return [self._run(row, []) for row in rows]

    @staticmethod
    def _set_status(db: Any, run: str, status: str, message: str) -> None:
        now, reset, message = time.time(), "", clipped(message)
        if status == "queued":
            reset = f", queued = {now!r}, attempts = 0, ended = NULL"
        elif status == "running":
            reset = f", started = {now!r}, ended = NULL"
        else:
            reset = f", ended = {now!r}"
        db.execute(f"UPDATE runs SET status = ?, message = ?{reset} WHERE id = ?", (status, message, run))

    # -- commands

    def command(self, run: str, kind: str, payload: Mapping[str, Any] | None = None) -> int:
        """Send the worker a command; returns the number under which `answer` has its state and result.

        pause, resume, step {"rounds": 1}, stop, undo {"to": the round to go back to, or null: by one}, delete;
        add_lanes {"lanes": [as in a spec, a branch with "from": {"lane", "round"}]};
        probe {"prompt", "lane", "round", "without": [rounds], "top": 10, "new_tokens": 20};
        map {"lane", "round", "method": "tsne"}; fact {"fact": index, "unedited", "lane", "round"};
        film {"prompt", "lane"}; sandbox as `opened.sandbox` and export as `export.answer` say. A probe of
        the run "" asks the unedited model: {"prompt", "model", …}.
        study {"name", "options", "lanes": [labels] or null: all, "rounds": "last"} is answered at once by its number
        {"study"} in `studies`, where it goes on; stop_study and delete_study take {"study"}.
        """
        return self.commands.ask(run, kind, payload)

    def answer(self, command: int) -> Command | None:
        """The command with its state and, when there is one, its answer."""
        return self.commands.get(command)

    def waiting(self) -> list[Command]:
        """Unanswered commands, oldest first."""
        return self.commands.waiting()

    def set_answer(self, command: int, answer: Any = None, failed: bool = False) -> None:
        """Store the worker's answer if the command is still waiting; `failed` with {"message": …}."""
        self.commands.end(command, answer, failed)

    # -- the worker's sign of life

    def beat(self, pid: int, doing: str, run: str | None = None) -> None:
        """Store a heartbeat of the worker, with what it is doing."""
        with self._database.writing() as db:
            db.execute("INSERT OR REPLACE INTO worker VALUES (1,?,?,?,?)", (pid, time.time(), doing, run))

    def worker(self) -> WorkerState | None:
        """The last worker that sent a heartbeat, or None if there never was one."""
        rows = self._database.read("SELECT * FROM worker")
        if not rows:
            return None
        row = rows[0]
        alive = row["pid"] > 0 and time.time() - row["beat"] < SILENT_AFTER
        return WorkerState(pid=row["pid"], beat=row["beat"], doing=row["doing"], run=row["run"], alive=alive)

    def _refill(self, db: Any) -> None:
        """Fill a new database with the runs that have folders."""
        for saved in saved_runs(self.home):
            row = saved.row
            values = [row[name] for name in ("id", "owner", "title")] + [to_json(row["spec"])]
            db.execute(NEW_RUN, [*values, row["folder"], row["status"], row["created"], row["created"]])
            update = (row["message"], row.get("notes", ""), row["id"])
            db.execute("UPDATE runs SET message = ?, notes = ? WHERE id = ?", update)
            for study in saved.studies:
                self.studies.refill(db, row["id"], study)
            for seq, event in enumerate(saved.events, start=1):
                db.execute("INSERT INTO events VALUES (?,?,?,?)", (row["id"], seq, row["created"], to_json(event)))

    def _run(self, row: Any, queue: list[str]) -> Run:
        return Run(
            **{name: row[name] for name in COLUMNS.split(", ") if name != "folder"},
            position=queue.index(row["id"]) + 1 if row["id"] in queue else 0,
            folder=(self.home / row["folder"]).resolve(),
            spec=json.loads(row["spec"]) if "spec" in row else None,
        )


def titled(spec: Mapping[str, Any]) -> str:
    """A title from the spec: methods and guards, the number of facts, the model."""
    lanes = []
    for lane in spec.get("lanes") or ():
        guards = [str(guard.get("name", "")) for guard in lane.get("guards") or ()]
        lanes.append(str(lane.get("name") or " + ".join([str(lane.get("method", "")), *guards])))
    facts = spec.get("facts") or {}
    count = facts.get("count") or len(facts.get("items") or ())
    amount = f"{count:,} facts" if count else "facts"
    return f"{', '.join(lanes)} · {amount} · {spec.get('model', 'pocket')}"
