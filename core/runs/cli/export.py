"""`python -m core export`: writes a run, or the weights of a lane after a round, for other programs."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.runs.export.options import DTYPES, KINDS, OF_A_RUN, ExportRequest
from core.runs.progress.terminal import Telling, quiet

OPTIONS = ("figures", "ledger", "rank", "error", "dtype")


def add_parsers(subparsers: Any) -> None:
    """The command `export`, with `run`: arguments → exit status."""
    kinds = "; ".join(f"{kind}: {what}" for kind, what in KINDS.items())
    parser = subparsers.add_parser(
        "export",
        help="a run or its weights, for use elsewhere",
        description=f"Export a run, or a lane's round of it. {kinds}.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of a run")
    parser.add_argument("--as", dest="kind", required=True, metavar="WHAT", help=f"one of {', '.join(KINDS)}")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="PATH", help="file or folder to write; not there yet"
    )
    parser.add_argument("--lane", metavar="LABEL", help="which lane's weights (default: the only lane)")
    parser.add_argument("--round", type=int, metavar="N", help="after which round (default: the lane's last)")
    parser.add_argument("--rank", type=int, metavar="R", help="lora: at most this rank (default: exact)")
    parser.add_argument("--error", type=float, metavar="E", help="lora: the least rank with a relative error up to E")
    parser.add_argument("--dtype", default="float32", metavar="TYPE", help=f"lora: {', '.join(DTYPES)}")
    parser.add_argument("--figures", type=Path, metavar="DIR", help="zip: with the files of this folder")
    parser.add_argument("--ledger", action="store_true", help="zip: with the updates of all rounds")
    parser.set_defaults(run=export_command)


def export_command(arguments: argparse.Namespace) -> int:
    """`python -m core export`: raises `UserError` for bad input."""
    from core.runs.export.export import export

    telling = Telling()
    if arguments.kind not in OF_A_RUN:
        quiet()
    try:
        made = export(
            arguments.folder,
            ExportRequest(
                kind=arguments.kind,
                lane=arguments.lane,
                round=arguments.round,
                options={name: getattr(arguments, name) for name in OPTIONS},
            ),
            arguments.out,
            progress=telling.progress,
        )
    finally:
        telling.end()
    for line in _about_lines(made.about):
        print(line)
    print("\n".join(map(str, made.files)))
    return 0


def _about_lines(about: Mapping[str, Any]) -> list[str]:
    """Lines about exported weights: their errors, and whether they are bit for bit those of the run."""
    lines = [
        f"layer {layer['layer']}: rank {layer['rank']} of {layer['full_rank']}, relative error {layer['error']:.1e}"
        for layer in about.get("layers", ())
    ]
    if about and not about["same_bits"]:
        lines.append("note: rebuilt on another kind of device, the weights differ from the run's in their last bits")
    return lines
