"""`python -m core known`: which everyday facts a model says rightly, as the table that the lab's samples read."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from core.errors import UserError
from core.facts.readers.everyday import ENOUGH, EverydayWorld, write_known
from core.runs.progress.eta import Pace, clock

DONE = 0


def add_parsers(subparsers: argparse._SubParsersAction) -> None:
    """Add `known`; it sets `run`, a function from the arguments to an exit status."""
    parser = subparsers.add_parser(
        "known", help="ask a model all everyday facts, and write which it says rightly in which templates"
    )
    parser.add_argument("model", help='"smollm2", a folder, a GGUF file or a hub id')
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="a table of tab-separated columns")
    parser.add_argument("--device", default="auto")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Ask, and write the table."""
    from core.measures.outside.known import known_templates
    from core.models.loading import load_model

    world = EverydayWorld.read()
    lm = load_model(arguments.model, arguments.device, say=told)
    pace = Pace()

    def progress(done: int, total: int) -> None:
        left = pace.left(done, total)
        told(f"{done:,} of {total:,} facts asked" + (f", about {clock(left)} left" if left else ""))

    said = known_templates(lm, world.relations, world.facts, progress)
    try:
        write_known(arguments.out.expanduser(), said)
    except OSError as error:
        raise UserError(f"{arguments.out}: cannot be written ({error.strerror})") from None
    known = Counter(relation for (relation, _), right in said.items() if len(right) >= ENOUGH)
    for relation in world.relations:
        total = sum(name == relation for name, _ in said)
        print(f"{relation:20} {known[relation]:4} of {total:4} known")
    print(f"{known.total():,} of {len(said):,} facts are said rightly in at least {ENOUGH} templates: {arguments.out}")
    return DONE


def told(line: str) -> None:
    """Write a line of progress."""
    print(line, file=sys.stderr, flush=True)
