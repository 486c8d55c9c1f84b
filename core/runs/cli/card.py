"""`python -m core card`: whether a model is a fair bench, and for which claims."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.runs.cli.bare_model import add_model_arguments, made, spec_of
from core.runs.opened.catalogue import built

OPTIONS = ("edits", "items", "size", "tenths", "seeds")  # of the study, by their names there


def add_parsers(subparsers: Any) -> None:
    """The command `card`, with `run`: arguments → exit status."""
    card = subparsers.add_parser(
        "card",
        help="is a model a fair bench for claims about its spectrum and its abilities?",
        description="Ask known facts and tasks of a model, again with the edited layers zeroed, cut or perturbed, and "
        "edit one round by plain MEMIT; say which of the papers' claims can be examined on it. Writes card.json, "
        "card.md, card.html and a CSV of each table. Exit status 0: done, 2: bad input, 3: stopped early.",
    )
    add_model_arguments(card)
    card.add_argument("--out", type=Path, default=Path("card"), metavar="DIR", help="folder to write (default: card)")
    card.add_argument("--known", type=int, metavar="N", help="true facts that are asked, at most")
    card.add_argument("--items", type=int, metavar="N", help="items per task")
    card.add_argument("--layers", metavar="L,L", help="edited layers, such as 4,5,6 (default: plain MEMIT's)")
    card.add_argument("--edits", type=int, metavar="N", help="facts of the round")
    card.add_argument("--size", type=float, metavar="E", help="size of a perturbation, as a share of ‖W‖_F")
    card.add_argument("--tenths", type=int, metavar="N", help="how many of the ten tenths are perturbed")
    card.add_argument("--seeds", type=int, metavar="N", help="perturbations of each")
    card.set_defaults(run=card_command)


def card_command(arguments: argparse.Namespace) -> int:
    """`python -m core card`: raises `UserError` for bad input."""
    from core.runs.export.card import check_free, write_card

    out = arguments.out.expanduser()
    check_free(out)
    options = _options(arguments)
    study = built("card", options)
    spec = spec_of(arguments, study.edits, study.facts)
    return made(spec, "card", options, out, lambda card: write_card(card, out))


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
