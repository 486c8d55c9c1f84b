"""`python -m core run`: performs a run without the page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from core.runs.progress.control import Control
from core.runs.progress.events import Finished, Warned, standing
from core.runs.progress.terminal import Telling, interruptible, quiet
from core.runs.spec.run_spec import RunSpec
from core.runs.store.store import Run, Store
from core.runs.worker.foreground import alone, check_out, open_or_create
from core.runs.worker.process import cache_home

DONE, BAD_INPUT, STOPPED_EARLY = 0, 2, 3


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
    check_out(out)
    store = Store(out)
    try:
        with alone(out):
            run = open_or_create(store, spec, out, arguments.resume, owner="command line", how="--resume")
            if run.status == "done":
                print(f"{out}: this run is done already")
                return DONE
            return _perform(store, run)
    finally:
        store.close()


def _perform(store: Store, run: Run) -> int:
    from core.runs.engine.laboratory import Laboratory
    from core.runs.worker.perform import perform

    started = [event for event in standing(event for _, event in store.events(run.id)) if event["kind"] == "started"]
    telling, cut_short = Telling(rounds=started[-1]["rounds"] if started else 0), []

    def on_event(event: Any) -> None:
        telling.event(event)
        if isinstance(event, Warned) and event.level == "error":
            cut_short.append(event)

    control = Control(report=telling.progress, give_way=lambda: True)  # nobody could resume a paused run
    quiet()
    try:
        with interruptible(control, "go on with --resume"):
            end: Finished = perform(store, run, Laboratory(cache_home(store.home)), control, on_event)
    finally:
        telling.end()
    if end.status == "failed":
        print(f"error: {end.message}", file=sys.stderr)
    if end.status == "done":
        return STOPPED_EARLY if cut_short else DONE
    begun = any(event["kind"] == "started" for _, event in store.events(run.id))
    return BAD_INPUT if end.status == "failed" and not begun else STOPPED_EARLY
