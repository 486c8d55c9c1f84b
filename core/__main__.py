"""`python -m core`: run a spec, measure or export a run, make a model's card, build the embedded world and model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from core.errors import UserError
from core.pocket import cli as pocket
from core.runs.cli import card as card_cli
from core.runs.cli import export as export_cli
from core.runs.cli import known as known_cli
from core.runs.cli import measure as measure_cli
from core.runs.cli import run as cli
from core.runs.cli import study as study_cli


def main(arguments: Sequence[str] | None = None, program: str = "python -m core") -> int:
    """The command line; returns the exit status: 0 done, 2 bad input (one line on stderr), 3 stopped early.

    `program` is what its help calls it.
    """
    parser = argparse.ArgumentParser(prog=program, description="Sequential knowledge editing, headless.")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    cli.add_parsers(subparsers)
    measure_cli.add_parsers(subparsers)
    export_cli.add_parsers(subparsers)
    card_cli.add_parsers(subparsers)
    study_cli.add_parsers(subparsers)
    known_cli.add_parsers(subparsers)
    pocket.add_parser(subparsers)
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return cli.BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
