"""How a round's solve grows with the edits before it, from 100 to 10,000: `python -m tests.bench.growth --out FOLDER`.

Made-up keys through the real solves, in rounds of a fixed size. Writes growth.csv, and the plot as growth.html.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.express as px
import torch

from core.editing.methods.alphaedit import AlphaEdit
from core.editing.methods.memit import Memit
from core.editing.priors.lowrank import LowRankPrior
from tests.bench.layer import Given, Layer
from tests.bench.machine import describe, peak_memory, spending

WEIGHT = 15000.0
METHODS = ("MEMIT, history", "AlphaEdit", "MEMIT-F")
BANDS = ((1, 500), (501, 1000), (1001, 2500), (2501, 5000), (5001, 7500), (7501, 10_000))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=Path("runs/bench"))
    options.add_argument("--dim", type=int, default=2048)
    options.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    options.add_argument("--edits", type=int, default=10_000)
    options.add_argument("--round-size", type=int, default=100)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--device", default="cpu")
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{describe()}; {arguments.threads} threads, {arguments.device}; rounds of {arguments.round_size}")
    table = pd.concat([grown(name, arguments) for name in arguments.methods])
    arguments.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(arguments.out / "growth.csv", index=False)
    figure = px.line(
        table, x="edits", y="cpu_seconds", color="method", title=f"The solve of one layer, d = {arguments.dim}",
        labels={"edits": "edits before and in the round", "cpu_seconds": "seconds of the processor"},
    )  # fmt: skip
    figure.update_yaxes(rangemode="tozero")
    figure.write_html(arguments.out / "growth.html", include_plotlyjs="cdn")
    print(summary(table, arguments.dim))
    print(f"\npeak memory {peak_memory()}; {arguments.out / 'growth.csv'}, {arguments.out / 'growth.html'}")


def grown(name: str, arguments: argparse.Namespace) -> pd.DataFrame:
    """A row per round; the first, in which factors are made, is left out."""
    layer = Layer(arguments.dim, arguments.device)
    method, prior = recipe(name, layer)
    method.update(layer.keys(2), layer.normal(layer.outputs, 2), layer.context(prior))
    rows = []
    for edits in range(arguments.round_size, arguments.edits + 1, arguments.round_size):
        keys, residual = layer.keys(arguments.round_size), layer.normal(layer.outputs, arguments.round_size)
        with spending() as taken:
            method.update(keys, residual, layer.context(prior))
            layer.remember(keys)
        rows.append({"method": name, "edits": edits, "seconds": taken.wall, "cpu_seconds": taken.cpu})
    return pd.DataFrame(rows)


def recipe(name: str, layer: Layer) -> tuple[Any, Any]:
    """The method and its prior."""
    if name == "AlphaEdit":
        return AlphaEdit(), Given(torch.linalg.qr(layer.normal(layer.d, layer.d // 8))[0])
    prior = LowRankPrior(alpha=0.0, rank=layer.d // 3) if name == "MEMIT-F" else None
    return Memit(lambda_=WEIGHT, history=True), prior


def summary(table: pd.DataFrame, d: int) -> str:
    """Median and mean of a round's processor seconds (with compressions and new factors in the mean), by edits."""
    lines = [f"| d = {d}: edits | {' | '.join(table.method.unique())} |", "|---|" + "---|" * table.method.nunique()]
    for low, high in BANDS:
        part = table[(table.edits >= low) & (table.edits <= high)]
        if len(part):
            cells = [f"{one.cpu_seconds.median():.3f}, mean {one.cpu_seconds.mean():.3f}"
                     for _, one in part.groupby("method", sort=False)]  # fmt: skip
            lines.append(f"| {low}–{high} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
