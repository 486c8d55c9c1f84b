"""`python -m core measure`: measures a stored run again, or runs a study on it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.json_text import JsonError, loads
from core.runs.opened.catalogue import built, catalogue
from core.runs.progress.control import Control, Interrupted
from core.runs.progress.terminal import Telling, interruptible, quiet
from core.runs.store.study_files import StudyFile, delete, free_key, result, results, write
from core.runs.worker.process import cache_home

DONE, STOPPED_EARLY = 0, 3


def add_parsers(subparsers: Any) -> None:
    """The command `measure`, with `run`: arguments → exit status."""
    measure = subparsers.add_parser(
        "measure",
        help="more measures, and studies, of a finished run",
        description="Rebuild a run's states from its ledger and measure them again, or make a study of them; writes "
        "files beside the first ones. Exit status 0: done, 2: bad input, 3: stopped early.",
    )
    measure.add_argument(
        "folder", type=Path, nargs="?", metavar="DIR", help="folder of a run: it holds spec.json and ledger/"
    )
    measure.add_argument("--rounds", default="last", help="all, last, or numbers such as 0,5,10 (default: last)")
    measure.add_argument("--lanes", action="append", metavar="LABEL", help="these lanes only (repeat for several)")
    measure.add_argument("--tasks", nargs="*", metavar="NAME", help="with tasks: the model's own, or these")
    measure.add_argument("--maps", choices=("pca", "tsne", "umap"), help="with maps of representations")
    measure.add_argument(
        "--all", action="store_true", help="every fact, paraphrase, neighbor and task item: no samples"
    )
    measure.add_argument(
        "--name", help="suffix of the tables (default: again), or of a study's result (default: the next number)"
    )
    measure.add_argument("--studies", action="store_true", help="list the studies there are, and their options")
    measure.add_argument("--study", metavar="NAME", help="make this study; writes study-NAME.json and its tables")
    measure.add_argument("--results", action="store_true", help="list what studies of this run have found")
    measure.add_argument("--delete", action="append", metavar="RESULT", help="delete a result of that list")
    measure.add_argument(
        "--set", action="append", default=[], metavar="OPTION=VALUE", help="an option of the study (repeat for several)"
    )
    measure.set_defaults(run=measure_command)


def measure_command(arguments: argparse.Namespace) -> int:
    """`python -m core measure`: raises `UserError` for bad input."""
    if arguments.studies:
        print("\n\n".join(map(_listed, catalogue())))
        return DONE
    if arguments.folder is None:
        raise UserError("which run? Give the folder that --out named, or runs/<id> (--studies needs none)")
    if arguments.set and arguments.study is None:
        raise UserError("--set gives options of a study; name the study by --study")
    if arguments.results or arguments.delete:
        return _results(arguments)
    options = options_of(arguments.set)
    if arguments.study is not None:  # report errors before anything is loaded
        built(arguments.study, options)
        free_key(arguments.folder.expanduser(), arguments.study, arguments.name)
    telling = Telling()
    control = Control(report=telling.progress)
    quiet()
    try:
        with interruptible(control, "nothing was written"):
            written = _study(arguments, options, control) if arguments.study else _measured(arguments, control)
    except Interrupted as stop:
        telling.end()
        print(str(stop), file=sys.stderr)
        return STOPPED_EARLY
    finally:
        telling.end()
    print("\n".join(map(str, written)))
    return DONE


def _measured(arguments: argparse.Namespace, control: Control) -> list[Path]:
    from core.runs.opened.remeasure import Again, remeasure
    from core.runs.opened.run import OpenedRun

    again = Again(name=arguments.name or "again", tasks=arguments.tasks, maps=arguments.maps, everything=arguments.all)
    return remeasure(OpenedRun(arguments.folder, control=control), arguments.rounds, arguments.lanes, again)


def _study(arguments: argparse.Namespace, options: dict[str, Any], control: Control) -> list[Path]:
    from core.runs.engine.laboratory import Laboratory
    from core.runs.opened.run import OpenedRun
    from core.runs.opened.study import study

    folder = arguments.folder.expanduser().resolve()
    run = OpenedRun(folder, Laboratory(cache_home(folder)), control)
    result_of_study = study(run, arguments.study, options, arguments.lanes, arguments.rounds)
    for note in result_of_study["notes"]:
        print(f"note: {note}")
    for empty_table in result_of_study["empty"]:
        print(f"empty: {_why(empty_table)}")
    return write(result_of_study, folder, free_key(folder, arguments.study, arguments.name))


def _results(arguments: argparse.Namespace) -> int:
    """Delete results, or list them."""
    folder = arguments.folder.expanduser()
    if arguments.study is not None:
        raise UserError("--results and --delete are about studies that were made: leave out --study")
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder")
    for stored in [result(folder, key) for key in arguments.delete or ()]:
        print("\n".join(f"deleted: {file}" for file in delete(stored)))
    if arguments.results:
        print("\n".join(map(_result_lines, results(folder))) or f"{folder}: no study was kept")
    return DONE


def _result_lines(stored: StudyFile) -> str:
    """A result in the list: its key, lanes, rounds and time; options that differ from the defaults; its tables."""
    usual = {about["name"]: {o["name"]: o["default"] for o in about["options"]} for about in catalogue()}
    own = {name: value for name, value in stored.options.items() if value != usual.get(stored.study, {}).get(name)}
    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(stored.created))
    lines = [f"{stored.key}: {', '.join(stored.lanes)}; rounds {stored.rounds}; {at}"]
    lines.append("    " + (" ".join(f"{name}={json.dumps(value)}" for name, value in own.items()) or "usual options"))
    lines.append("    tables: " + ", ".join(f"{name} ({rows})" for name, rows in stored.tables.items()))
    return "\n".join([*lines, *(f"    empty: {_why(empty_table)}" for empty_table in stored.empty)])


def _why(empty: dict[str, str]) -> str:
    return f"{empty['table']} of {empty['lane']}: {empty['why']}"


def options_of(arguments: Sequence[str]) -> dict[str, Any]:
    """`["count=3", "ask=edit", "layers=[4,5]"]` as a dictionary. Values that are not JSON are text."""
    options = {}
    for argument in arguments:
        name, sign, value = argument.partition("=")
        if not sign or not name.strip():
            raise UserError(f'--set: "{argument}" should be OPTION=VALUE, such as count=100')
        if name.strip() in options:
            raise UserError(f'--set: "{name.strip()}" is given twice; keep one')
        try:
            options[name.strip()] = loads(value)
        except JsonError as error:
            if not error.broken:
                raise UserError(f"--set {name.strip()}: {error}") from None
            options[name.strip()] = value
    return options


def _listed(study: dict[str, Any]) -> str:
    lines = [f"{study['name']}: {study['question']} ({study['source']})"]
    for option in study["options"]:
        default = json.dumps(option["default"])
        choices = f"; one of {', '.join(map(str, option['choices']))}" if option["choices"] else ""
        lines.append(f"    {option['name']}={default}{choices}   {option['help']}")
    return "\n".join(lines)
