"""Performs one run of the store: commits its events, writes its tables, and explains how it ended."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from core.errors import UserError
from core.runs.engine import engine
from core.runs.engine.laboratory import Laboratory
from core.runs.opened.run import OpenedRun
from core.runs.opened.study import study as make
from core.runs.progress.control import WAITING, Control, Paused, Stopped, Yielded
from core.runs.progress.events import Event, Finished, Warned
from core.runs.spec.plan import Past
from core.runs.spec.run_spec import MOST_ROWS, RunSpec
from core.runs.store.additions import ADDED
from core.runs.store.database import is_disk_full
from core.runs.store.folder import RunFolder
from core.runs.store.store import Run, Store
from core.runs.store.study_queue import StudyState
from core.runs.store.undo import bring_in_line

BALLAST = 2**20  # bytes kept in reserve, so that a full disk leaves room to say so
RETRY_SECONDS = 1.0


def perform(
    store: Store, run: Run, laboratory: Laboratory, control: Control, on_event: Callable[[Event], None] | None = None
) -> Finished:
    """Perform a run from its last committed event to its end, or to the end of its turn; returns how it ended.

    Each event is committed before `on_event` is called with it and before the next step begins. The ledger's file of an
    edit is on disk before its event is committed, so every committed state can be rebuilt. The message of a failed run
    explains why it failed. Raises `UserError` only if the store cannot be written.
    """
    recorder = Recorder(store, run, on_event)
    store.claim(run.id)
    ballast = store.home / ".ballast"
    try:
        _take_on(ballast)
        committed = recorder.begin()
        spec = RunSpec.from_dict(run.spec, max_facts=MOST_ROWS)
        for event in engine.run(laboratory, spec, recorder.folder, committed, control):
            recorder.commit(event)
        past = Past(event for _, event in store.events(run.id))
        end = Finished(status="done", message=past.outcome(spec.labels()))
    except Yielded as waiting:
        ballast.unlink(missing_ok=True)
        store.set_status(run.id, "queued", str(waiting))
        return Finished(status="queued", message=str(waiting))
    except Stopped as stop:
        end = Finished(status="stopped", message=str(stop))
    except Paused as pause:
        end = Finished(status="paused", message=str(pause))
    except Exception as error:
        end = explained(error, store)
        if end.status == "failed" and not isinstance(error, UserError):
            traceback.print_exc(file=sys.stderr)
    ballast.unlink(missing_ok=True)
    recorder.end(end)
    return end


def perform_study(store: Store, study: StudyState, laboratory: Laboratory, control: Control) -> None:
    """Perform a queued study and store its result; `store.studies` says how it ended. If the lab is closed meanwhile,
    the study is queued again."""
    queue, request = store.studies, study.asked
    run = store.get(study.run, spec=False)
    if run is None:
        return
    queue.claim(study.id)
    try:
        opened = OpenedRun(run.folder, laboratory, control)
        result = make(opened, request.name, request.options, request.lanes, request.rounds)
        queue.finish(run.folder, study, result)
    except Stopped as stop:
        queue.end(study.id, "stopped", str(stop))
    except Paused:
        queue.put_back(study.id)
    except Exception as error:
        end = explained(error, store)
        if not isinstance(error, UserError):
            traceback.print_exc(file=sys.stderr)
        queue.end(study.id, "failed", end.message)


class Recorder:
    """Commits the events of one run: to the store first, then to the run's folder."""

    def __init__(self, store: Store, run: Run, on_event: Callable[[Event], None] | None = None):
        self._store, self._run, self._on_event = store, run, on_event
        self.folder = RunFolder(run.folder)

    def begin(self) -> list[dict[str, Any]]:
        """The events committed so far, with the folder brought in line with them."""
        committed = [event for _, event in self._store.events(self._run.id)]
        bring_in_line(self.folder, committed)
        if committed and self._run.message not in (WAITING, ADDED):
            self.commit(Warned(level="info", message="Resumed from the last committed step."))
        return committed

    def commit(self, event: Event) -> None:
        """Commit one event. It is on disk when this returns."""
        self._store.append(self._run.id, [event])
        self.folder.add(event.as_dict())
        if self._on_event is not None:
            self._on_event(event)

    def end(self, end: Finished) -> None:
        """Commit the last event with the run's new status; three attempts, in case the disk is full."""
        if self._store.get(self._run.id) is None:  # it was deleted, or the store was damaged and replaced
            return
        with suppress(OSError):  # tables follow from the events: they can be written when there is room again
            self.folder.write_tables()
        for attempt in range(3):
            try:
                self._store.append(self._run.id, [end], status=end.status, message=end.message)
                break
            except UserError:
                if attempt == 2:
                    raise
                time.sleep(RETRY_SECONDS)
        self._store.set_progress(self._run.id, None)
        with suppress(OSError):
            self.folder.add(end.as_dict())
        if self._on_event is not None:
            self._on_event(end)


def explained(error: Exception, store: Store) -> Finished:
    """The end of a run that raised `error`, with a message that says what to do."""
    if is_disk_full(error):
        return Finished(status="stopped", message=f"The disk of {store.home} is full; make room, then resume the run.")
    if isinstance(error, UserError):
        return Finished(status="failed", message=str(error))
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        advice = "use a smaller round_size, fewer lanes, a smaller model or another dtype, then resume or start again"
        return Finished(status="failed", message=f"Out of memory; {advice}. ({_line(error)})")
    return Finished(status="failed", message=f"{type(error).__name__}: {_line(error)} (the log has the details)")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _take_on(ballast: Any) -> None:
    """Write the reserve file, which is deleted when the disk is full."""
    if not ballast.exists() or ballast.stat().st_size < BALLAST:
        ballast.write_bytes(b"\x55" * BALLAST)
