"""`python -m core run`: the page's engine and files, without a page."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import Timeout

from core.errors import UserError
from core.runs.progress.control import Control
from core.runs.progress.events import Finished, Warned, standing
from core.runs.progress.terminal import Telling, interruptible, quiet
from core.runs.spec.run_spec import RunSpec
from core.runs.store.additions import add_lanes, more_lanes
from core.runs.store.store import Run, Store
from core.runs.worker.process import cache_home, worker_lock

DONE, BAD_INPUT, STOPPED_EARLY = 0, 2, 3
OURS = ("spec.json", "events.jsonl", "rounds.csv", "layers.csv", "facts.csv", "ledger")


def add_parsers(subparsers: Any) -> None:
    """The command `run`, with `run`: arguments → exit status."""
    run = subparsers.add_parser(
        "run",
        help="run a spec without a page",
        description="Run a spec; exit status 0: done, 2: bad input, 3: stopped early (go on with --resume).",
    )
    run.add_argument("spec", type=Path, metavar="SPEC.json", help="what to run")
    run.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the results")
    run.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run that DIR holds, and do lanes that SPEC.json adds to it",
    )
    run.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """`python -m core run`: raises `UserError` for bad input."""
    spec = RunSpec.from_json(arguments.spec)
    out = arguments.out.expanduser().resolve()
    _check_out(out, arguments.resume)
    store = Store(out)
    try:
        with _alone(out):
            run = _found_or_created(store, spec, out, arguments.resume)
            if run.status == "done":
                print(f"{out}: this run is done already")
                return DONE
            return _perform(store, run)
    finally:
        store.close()


def _perform(store: Store, run: Run) -> int:
    from core.runs.engine.laboratory import Laboratory
    from core.runs.worker.perform import perform

    told = [event for event in standing(event for _, event in store.events(run.id)) if event["kind"] == "started"]
    telling, cut_short = Telling(rounds=told[-1]["rounds"] if told else 0), []

    def seen(event: Any) -> None:
        telling.event(event)
        if isinstance(event, Warned) and event.level == "error":
            cut_short.append(event)

    control = Control(report=telling.progress, give_way=lambda: True)  # nobody could tell a paused run to go on
    quiet()
    try:
        with interruptible(control, "go on with --resume"):
            end: Finished = perform(store, run, Laboratory(cache_home(store.home)), control, seen)
    finally:
        telling.end()
    if end.status == "failed":
        print(f"error: {end.message}", file=sys.stderr)
    if end.status == "done":
        return STOPPED_EARLY if cut_short else DONE
    begun = any(event["kind"] == "started" for _, event in store.events(run.id))
    return BAD_INPUT if end.status == "failed" and not begun else STOPPED_EARLY


def _found_or_created(store: Store, spec: RunSpec, out: Path, resume: bool) -> Run:
    runs = [run for run in store.runs() if run.folder == out]
    if runs and not resume:
        raise UserError(f"{out}: holds a run already; go on with it by --resume, or choose another folder")
    if not runs:
        found = store.get(store.create_run(spec.as_dict(), owner="command line", title=spec.title, folder="."))
        assert found is not None
        return found
    found = store.get(runs[0].id)
    assert found is not None
    try:
        more = more_lanes(found.spec or {}, spec)
    except UserError as error:
        raise UserError(f"{out}: {error}") from None
    if more:
        add_lanes(store, found, more)
        found = store.get(found.id)
        assert found is not None
    return found


def _check_out(out: Path, resume: bool) -> None:
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: is a file; --out takes a folder")
    if out.is_dir() and not (out / "lab.sqlite").exists():
        taken = [name for name in OURS if (out / name).exists()]
        if taken:
            raise UserError(f"{out}: holds {taken[0]}, which would be overwritten; choose another folder")


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    lock = worker_lock(out)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(
            f"{out}: another process is working on this run; wait for it, or choose another folder"
        ) from None
    with lock:
        yield
