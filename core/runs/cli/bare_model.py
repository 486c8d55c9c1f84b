"""Commands about a model without a run: their common arguments, and what they make of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.json_text import JsonError, loads
from core.names import WORLDS
from core.runs.progress.control import Control, Interrupted
from core.runs.progress.terminal import Telling, interruptible, quiet
from core.runs.spec.run_spec import RunSpec
from core.runs.worker.process import cache_home

DONE, STOPPED_EARLY = 0, 3


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """The model, its facts and tasks, its statistics, and how it is loaded."""
    parser.add_argument("model", metavar="MODEL", help="pocket, smollm2, a folder, or a hub id")
    parser.add_argument(
        "--facts",
        metavar="FACTS",
        help="a file, a dataset's name, or the field `facts` of a spec (default: the model's own world)",
    )
    parser.add_argument(
        "--tasks", nargs="+", metavar="NAME", help="names of tasks, or folders (default: the model's own)"
    )
    parser.add_argument("--texts", metavar="FILE", help="what second moments are gathered from, a paragraph a line")
    parser.add_argument("--tokens", type=int, metavar="N", help="how many tokens of it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--chat", action="store_true", help="ask in the tokenizer's chat template")


def spec_of(arguments: argparse.Namespace, edits: int, unedited: int) -> RunSpec:
    """What a run of this model and these facts would be: with `edits` facts to edit and `unedited` true ones of a
    world, with all that a file has. Raises `UserError`."""
    statistics = {"texts": arguments.texts, "tokens": arguments.tokens}
    return RunSpec.from_dict(
        {
            "model": arguments.model,
            "facts": _facts(arguments, edits, unedited),
            "round_size": edits,
            "lanes": [{"method": "memit"}],
            "measure": {"tasks": list(arguments.tasks) if arguments.tasks else True},
            "statistics": {name: value for name, value in statistics.items() if value is not None},
            "seed": arguments.seed,
            "device": arguments.device,
            "dtype": arguments.dtype,
            "chat": arguments.chat,
        }
    )


def made(
    spec: RunSpec, name: str, options: Mapping[str, Any], out: Path, write: Callable[[dict[str, Any]], list[Path]]
) -> int:
    """Make a study of the model of a spec and write it; prints its notes and files. The exit status. Raises
    `UserError`."""
    telling = Telling()
    control = Control(report=telling.progress)
    quiet()
    try:
        with interruptible(control, "nothing was written; statistics gathered so far are kept"):
            from core.runs.engine.laboratory import Laboratory
            from core.runs.opened.without_run import study_without_run

            found = study_without_run(Laboratory(cache_home(out)), spec, name, options, control)
            files = write(found)
    except Interrupted as stop:
        telling.end()
        print(str(stop), file=sys.stderr)
        return STOPPED_EARLY
    finally:
        telling.end()
    print("\n".join([*found["notes"], *map(str, files)]))
    return DONE


def _facts(arguments: argparse.Namespace, edits: int, unedited: int) -> dict[str, Any]:
    """The field `facts` of the spec."""
    given = arguments.facts
    if given is None and arguments.model not in WORLDS:
        raise UserError(
            f"--facts: {arguments.model} has no world of its own; name a file of facts with the columns subject, "
            "prompt, target and truth, or a dataset"
        )
    if given is not None and given.lstrip().startswith("{"):
        try:
            return dict(loads(given))
        except JsonError as error:
            raise UserError(f"--facts: {error}") from None
    source = given if given is not None else WORLDS[arguments.model]
    counts = {"count": edits, "seed": arguments.seed} if source in WORLDS.values() else {}
    return {"source": source, "unedited": unedited, **counts}
