"""`python -m core card`: whether a model is a fair bench, and for which claims."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.json_text import JsonError, loads
from core.measures.studies.card import Card
from core.runs.opened.catalogue import built
from core.runs.progress.control import Control, Interrupted
from core.runs.progress.terminal import Telling, interruptible, quiet
from core.runs.spec.run_spec import RunSpec
from core.runs.worker.process import cache_home

DONE, STOPPED_EARLY = 0, 3
OPTIONS = ("edits", "items", "size", "tenths", "seeds")  # of the study, by their names there
OWN_FACTS = ("pocket",)  # models with a world of their own


def add_parsers(subparsers: Any) -> None:
    """The command `card`, with `run`: arguments → exit status."""
    card = subparsers.add_parser(
        "card",
        help="is a model a fair bench for claims about its spectrum and its abilities?",
        description="Ask known facts and tasks of a model, again with the edited layers zeroed, cut or perturbed, and "
        "edit one round by plain MEMIT; say which of the papers' claims can be examined on it. Writes card.json, "
        "card.md, card.html and a CSV of each table. Exit status 0: done, 2: bad input, 3: stopped early.",
    )
    card.add_argument("model", metavar="MODEL", help="pocket, a folder, or a hub id")
    card.add_argument("--out", type=Path, default=Path("card"), metavar="DIR", help="folder to write (default: card)")
    card.add_argument(
        "--facts",
        metavar="FACTS",
        help="a file, a dataset's name, or the field `facts` of a spec (default: the model's own world)",
    )
    card.add_argument("--known", type=int, metavar="N", help="true facts that are asked, at most")
    card.add_argument("--tasks", nargs="+", metavar="NAME", help="names of the harness, or folders (default: its own)")
    card.add_argument("--items", type=int, metavar="N", help="items per task")
    card.add_argument("--layers", metavar="L,L", help="edited layers, such as 4,5,6 (default: plain MEMIT's)")
    card.add_argument("--edits", type=int, metavar="N", help="facts of the round")
    card.add_argument("--size", type=float, metavar="E", help="size of a perturbation, as a share of ‖W‖_F")
    card.add_argument("--tenths", type=int, metavar="N", help="how many of the ten tenths are perturbed")
    card.add_argument("--seeds", type=int, metavar="N", help="perturbations of each")
    card.add_argument("--texts", metavar="FILE", help="what second moments are gathered from, a paragraph a line")
    card.add_argument("--tokens", type=int, metavar="N", help="how many tokens of it")
    card.add_argument("--seed", type=int, default=0)
    card.add_argument("--device", default="auto")
    card.add_argument("--dtype", default="auto")
    card.add_argument("--chat", action="store_true", help="ask in the tokenizer's chat template")
    card.set_defaults(run=card_command)


def card_command(arguments: argparse.Namespace) -> int:
    """`python -m core card`: raises `UserError` for bad input."""
    from core.runs.export.card import check_free

    out = arguments.out.expanduser()
    check_free(out)
    options = _options(arguments)
    study = built("card", options)
    spec = _spec(arguments, study)
    telling = Telling()
    control = Control(report=telling.progress)
    quiet()
    try:
        with interruptible(control, "nothing was written"):
            written, sentences = _made(spec, options, control, out)
    except Interrupted as stop:
        telling.end()
        print(str(stop), file=sys.stderr)
        return STOPPED_EARLY
    finally:
        telling.end()
    print("\n".join([*sentences, *map(str, written)]))
    return DONE


def _made(spec: RunSpec, options: dict[str, Any], control: Control, out: Path) -> tuple[list[Path], list[str]]:
    from core.runs.engine.laboratory import Laboratory
    from core.runs.export.card import write_card
    from core.runs.opened.without_run import study_without_run

    card = study_without_run(Laboratory(cache_home(out)), spec, "card", options, control)
    return write_card(card, out), list(card["notes"])


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The study's options that were given."""
    given = {name: getattr(arguments, name) for name in OPTIONS} | {"facts": arguments.known}
    options = {name: value for name, value in given.items() if value is not None}
    if arguments.layers is not None:
        try:
            options["layers"] = [int(layer) for layer in arguments.layers.split(",")]
        except ValueError:
            raise UserError(f'--layers: "{arguments.layers}" should be numbers with commas, such as 4,5,6') from None
    return options


def _spec(arguments: argparse.Namespace, study: Card) -> RunSpec:
    """What a run of this model and these facts would be."""
    own = arguments.model in OWN_FACTS
    tasks = list(arguments.tasks) if arguments.tasks else own
    statistics = {"texts": arguments.texts, "tokens": arguments.tokens}
    return RunSpec.from_dict(
        {
            "model": arguments.model,
            "facts": _facts(arguments, study),
            "round_size": study.edits,
            "lanes": [{"method": "memit"}],
            "measure": {"tasks": tasks},
            "statistics": {name: value for name, value in statistics.items() if value is not None},
            "seed": arguments.seed,
            "device": arguments.device,
            "dtype": arguments.dtype,
            "chat": arguments.chat,
        }
    )


def _facts(arguments: argparse.Namespace, study: Card) -> dict[str, Any]:
    """The field `facts`: of a world as many as are edited, of a file all that it has."""
    given = arguments.facts
    if given is None and arguments.model not in OWN_FACTS:
        raise UserError(
            f"--facts: {arguments.model} has no world of its own; name a file of facts with the columns subject, "
            "prompt, target and truth, or a dataset"
        )
    if given is not None and given.lstrip().startswith("{"):
        try:
            return dict(loads(given))
        except JsonError as error:
            raise UserError(f"--facts: {error}") from None
    source = given if given is not None else arguments.model
    counts = {"count": study.edits, "seed": arguments.seed} if source in OWN_FACTS else {}
    return {"source": source, "unedited": study.facts, **counts}
