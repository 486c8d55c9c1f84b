"""Runs in this process instead of the lab's worker: checks of the folder, and a lock against other processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import Timeout

from core.errors import UserError
from core.runs.spec.run_spec import RunSpec
from core.runs.store.additions import add_lanes, more_lanes
from core.runs.store.store import Run, Store
from core.runs.worker.process import worker_lock

FILES = ("spec.json", "events.jsonl", "rounds.csv", "layers.csv", "facts.csv", "ledger")


def check_out(out: Path) -> None:
    """Raises `UserError` for a file, and for a folder that has a run's files but no store."""
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: is a file; give a folder")
    if out.is_dir() and not (out / "lab.sqlite").exists():
        taken = [name for name in FILES if (out / name).exists()]
        if taken:
            raise UserError(f"{out}: holds {taken[0]}, which would be overwritten; choose another folder")


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Hold the lock of this home; raises `UserError` if another process works in it."""
    lock = worker_lock(home)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(
            f"{home}: another process is working on this run; wait for it, or choose another folder"
        ) from None
    with lock:
        yield


def open_or_create(store: Store, spec: RunSpec, out: Path, resume: bool, owner: str, how: str) -> Run:
    """The run whose folder is `out`, with the new lanes of `spec` added; or a new run.

    Raises `UserError` if `out` holds a run and `resume` is false (`how` names the option that resumes it), or if it
    holds a run of another spec.
    """
    runs = [run for run in store.runs() if run.folder == out]
    if runs and not resume:
        raise UserError(f"{out}: holds a run already; go on with it by {how}, or choose another folder")
    if not runs:
        return stored_run(store, store.create_run(spec.as_dict(), owner=owner, title=spec.title, folder="."))
    run = stored_run(store, runs[0].id)
    try:
        more = more_lanes(run.spec or {}, spec)
    except UserError as error:
        raise UserError(f"{out}: {error}") from None
    if more:
        add_lanes(store, run, more)
    return stored_run(store, run.id)


def stored_run(store: Store, run: str) -> Run:
    """The run of that id; raises `UserError` if the store has none."""
    stored = store.get(run)
    if stored is None:
        raise UserError(f"{store.home}: there is no run {run}")
    return stored
