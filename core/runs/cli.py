"""`python -m core run` and `python -m core measure`: the page's engine and files, without a page."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from filelock import Timeout

from core.errors import UserError
from core.runs.control import Control
from core.runs.events import Finished, Warned
from core.runs.spec import RunSpec
from core.runs.store import Run, Store
from core.runs.terminal import Telling
from core.runs.worker_process import default_home, worker_lock

DONE, BAD_INPUT, STOPPED_EARLY = 0, 2, 3
OURS = ("spec.json", "events.jsonl", "rounds.csv", "layers.csv", "facts.csv", "ledger")


def add_parsers(subparsers: Any) -> None:
    """The commands `run` and `measure`, each with `run`: arguments → exit status."""
    run = subparsers.add_parser(
        "run",
        help="run a spec without a page",
        description="Run a spec; exit status 0: done, 2: bad input, 3: stopped early (go on with --resume).",
    )
    run.add_argument("spec", type=Path, metavar="SPEC.json", help="what to run")
    run.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the results")
    run.add_argument("--resume", action="store_true", help="go on with the run that DIR holds")
    run.set_defaults(run=run_command)
    measure = subparsers.add_parser(
        "measure",
        help="more measures on a finished run",
        description="Rebuild a run's states from its ledger and measure them again; writes "
        "tables with a suffix beside the first ones.",
    )
    measure.add_argument("folder", type=Path, metavar="DIR", help="folder of a run: it holds spec.json and ledger/")
    measure.add_argument("--rounds", default="last", help="all, last, or numbers such as 0,5,10 (default: last)")
    measure.add_argument("--lanes", action="append", metavar="LABEL", help="these lanes only (repeat for several)")
    measure.add_argument("--tasks", nargs="*", metavar="NAME", help="with tasks: the model's own, or these")
    measure.add_argument("--maps", choices=("pca", "tsne", "umap"), help="with maps of representations")
    measure.add_argument(
        "--all", action="store_true", help="every fact, paraphrase, neighbour and task item: no samples"
    )
    measure.add_argument("--name", default="again", help="suffix of the tables (default: again)")
    measure.set_defaults(run=measure_command)


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


def measure_command(arguments: argparse.Namespace) -> int:
    """`python -m core measure`."""
    from core.runs.remeasure import remeasure

    telling = Telling()
    _quiet()
    try:
        written = remeasure(
            arguments.folder,
            rounds=arguments.rounds,
            lanes=arguments.lanes,
            tasks=arguments.tasks,
            maps=arguments.maps,
            everything=arguments.all,
            name=arguments.name,
            progress=telling.progress,
        )
    finally:
        telling.end()
    print("\n".join(map(str, written)))
    return DONE


def _perform(store: Store, run: Run) -> int:
    from core.runs.laboratory import Laboratory
    from core.runs.perform import perform

    telling, cut_short = Telling(), []

    def seen(event: Any) -> None:
        telling.event(event)
        if isinstance(event, Warned) and event.level == "error":
            cut_short.append(event)

    control = Control(report=telling.progress)
    _quiet()
    with _interruptible(control):
        end: Finished = perform(store, run, Laboratory(_cache(store.home)), control, seen)
    telling.end()
    if end.status == "failed":
        print(f"error: {end.message}", file=sys.stderr)
    if end.status == "done":
        return STOPPED_EARLY if cut_short else DONE
    begun = any(event["kind"] == "started" for _, event in store.events(run.id))
    return BAD_INPUT if end.status == "failed" and not begun else STOPPED_EARLY


def _cache(out: Path) -> Path:
    """Where statistics are kept that took long: with the lab's own, for all runs; in `out` where that cannot be."""
    home = default_home().expanduser()
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError:
        return out
    return home if os.access(home, os.W_OK) else out


def _quiet() -> None:
    """No bars of other libraries where output goes to a file."""
    if not sys.stderr.isatty():
        from transformers.utils import logging

        logging.disable_progress_bar()


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
    differing = _differing(RunSpec.from_dict(found.spec).as_dict(), spec.as_dict())
    if differing:
        raise UserError(f"{out}: was begun with another spec ({', '.join(differing)} differ); choose another folder")
    return found


def _differing(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    names = sorted((first.keys() | second.keys()) - {"title"})
    return [name for name in names if first.get(name) != second.get(name)]


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


@contextmanager
def _interruptible(control: Control) -> Iterator[None]:
    """Ctrl-C (or SIGTERM) once: leave after this edit; twice: at once. Both can be resumed."""
    asked = []

    def handle(number: int, frame: FrameType | None) -> None:
        if asked:
            control.stop("Stopped at once; go on with --resume.")
        else:
            control.leave("Stopped; go on with --resume.")
        asked.append(number)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
