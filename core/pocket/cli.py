"""`python -m core pocket build | train | card`."""

import argparse
import shutil
import sys
from pathlib import Path

from core.paths import ASSETS

DEFAULT_MINUTES = 65.0


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `pocket` and its sub-commands; each sets `run`, a function from the arguments to an exit code."""
    parser = subparsers.add_parser("pocket", help="make the embedded world and its model")
    commands = parser.add_subparsers(dest="pocket_command", required=True)

    build = commands.add_parser("build", help="make world, tokenizer and tasks from a seed")
    build.add_argument("--out", type=Path, required=True, metavar="DIR")
    build.add_argument("--seed", type=int, default=0)
    build.set_defaults(run=run_build)

    train = commands.add_parser("train", help="train the model (builds the world first if it is absent)")
    train.add_argument("--out", type=Path, required=True, metavar="DIR")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument(
        "--minutes",
        type=float,
        help=f"stop after this time (default {DEFAULT_MINUTES:.0f}); the schedule follows the clock",
    )
    train.add_argument("--steps", type=int, help="stop after this many steps; repeats exactly from a seed")
    train.add_argument("--resume", action="store_true", help="go on from DIR/checkpoint.pt")
    train.add_argument("--width", type=int, help="width of the residual stream, a multiple of 64")
    train.add_argument("--layers", type=int)
    train.add_argument("--ffn", type=int)
    train.add_argument("--learning-rate", type=float)
    train.add_argument("--write-penalty", type=float, help="weight of the FFNs' squared writes in the loss")
    train.add_argument("--threads", type=int, default=0, help="CPU threads (default: as many as torch takes)")
    train.add_argument("--no-compile", action="store_true", help="do not compile the model even if g++ is there")
    train.set_defaults(run=run_train)

    card = commands.add_parser("card", help="evaluate a model folder and write card.json and card.md")
    card.add_argument(
        "out", type=Path, nargs="?", default=ASSETS / "pocket", metavar="DIR", help="holds world/, tasks/, model/"
    )
    card.set_defaults(run=run_card)


def run_build(args: argparse.Namespace) -> int:
    """Make the world and print a summary."""
    from .build import build

    world = build(args.out, args.seed)
    real = sum(fact.real for fact in world.facts)
    print(f"{len(world.facts)} facts ({real} real) in {len(world.relations)} relations, written to {args.out}")
    return 0


def run_train(args: argparse.Namespace) -> int:
    """Train, or say in one line why not."""
    import torch

    from .model import Shape
    from .train import Training, train

    if args.threads:
        torch.set_num_threads(args.threads)
    try:
        plan = Training(
            minutes=DEFAULT_MINUTES if args.minutes is None and args.steps is None else args.minutes,
            steps=args.steps,
            seed=args.seed,
            shape=Shape(**_set_options(width=args.width, layers=args.layers, ffn=args.ffn)),
            compile=not args.no_compile and shutil.which("g++") is not None,
            **_set_options(learning_rate=args.learning_rate, write_penalty=args.write_penalty),
        )
        train(args.out, plan, resume=args.resume, say=lambda line: print(line, flush=True))
    except (FileNotFoundError, ValueError) as error:
        print(f"pocket train: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("pocket train: stopped; --resume goes on from the last export", file=sys.stderr)
        return 3
    return 0


def run_card(args: argparse.Namespace) -> int:
    """Evaluate and write the card."""
    folder = args.out / "model"
    if not (folder / "config.json").exists():
        print(f"pocket card: no model in {folder}; train one with: pocket train --out {args.out}", file=sys.stderr)
        return 2
    from .card import make_card, render, write_card

    card = make_card(args.out)
    write_card(card, args.out)
    print(render(card))
    return 0


def _set_options(**options: object) -> dict:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}
