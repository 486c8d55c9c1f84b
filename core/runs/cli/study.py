"""`python -m core study`: a study of a model by itself, without a run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.runs.cli.bare_model import add_model_arguments, made, spec_of
from core.runs.cli.measure import options_of
from core.runs.opened.catalogue import built

ALONE = ("trace", "layers", "lens", "decomposition")  # studies that need no edits; `card` has a command of its own
EDITS, UNEDITED = 100, 500  # facts of a world: to edit, and true ones


def add_parsers(subparsers: Any) -> None:
    """The command `study`, with `run`: arguments → exit status."""
    study = subparsers.add_parser(
        "study",
        help="a study of a model that needs no run: where it looks facts up, which layers to edit, …",
        description="Make a study of an unedited model. Writes study-NAME.json, a CSV of each table, and the charts as "
        "study-NAME.html. `python -m core measure --studies` lists all studies with their options. Exit status 0: "
        "done, 2: bad input, 3: stopped early.",
    )
    study.add_argument("name", metavar="NAME", choices=ALONE, help=f"one of {', '.join(ALONE)}")
    add_model_arguments(study)
    study.add_argument("--out", type=Path, default=Path("study"), metavar="DIR", help="folder (default: study)")
    study.add_argument(
        "--set", action="append", default=[], metavar="OPTION=VALUE", help="an option of the study (repeat for several)"
    )
    study.set_defaults(run=study_command)


def study_command(arguments: argparse.Namespace) -> int:
    """`python -m core study`: raises `UserError` for bad input."""
    from core.runs.export.card import picture
    from core.runs.store.folder import replace_text
    from core.runs.store.study_files import free_key, write

    out, name = arguments.out.expanduser(), arguments.name
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: is a file; give a folder")
    options = options_of(arguments.set)
    study = built(name, options)
    spec = spec_of(arguments, max(EDITS, getattr(study, "edits", 0)), UNEDITED)

    def written(found: dict[str, Any]) -> list[Path]:
        out.mkdir(parents=True, exist_ok=True)
        key = free_key(out, name)
        page = out / f"study-{key}.html"
        replace_text(page, picture(found))
        return [*write(found, out, key), page]

    return made(spec, name, options, out, written)
