"""How a round's solve grows with the edits before it, from 100 to 10,000: `python -m tests.bench.growth --out FOLDER`.

Made-up keys through the real solves, in rounds of a fixed size. Writes growth.csv, and the plot as growth.svg; methods
that the folder's growth.csv has of the same width, and that are not run now, stay there and are drawn too.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from core.editing.methods.alphaedit import AlphaEdit
from core.editing.methods.memit import Memit
from core.editing.priors.lowrank import LowRankPrior
from tests.bench.layer import Given, Layer
from tests.bench.machine import describe, peak_memory, spending

WEIGHT = 15000.0
METHODS = ("MEMIT, history", "AlphaEdit", "MEMIT-F")
COLORS = ("#1f6fb4", "#c2571a", "#2e8b57")
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
    arguments.out.mkdir(parents=True, exist_ok=True)
    path, plot = arguments.out / "growth.csv", arguments.out / "growth.svg"
    tables = [grown(name, arguments) for name in arguments.methods]
    if path.exists():
        before = pd.read_csv(path)
        tables.insert(0, before[(before.d == arguments.dim) & ~before.method.isin(arguments.methods)])
    table = pd.concat(tables)
    table.to_csv(path, index=False)
    plot.write_text(drawn(table, arguments.dim), encoding="utf-8")
    print(summary(table, arguments.dim))
    print(f"\npeak memory {peak_memory()}; {path}, {plot}")


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
        rows.append(
            {"method": name, "d": arguments.dim, "edits": edits, "seconds": taken.wall, "cpu_seconds": taken.cpu}
        )
    return pd.DataFrame(rows)


def recipe(name: str, layer: Layer) -> tuple[Any, Any]:
    """The method and its prior."""
    if name == "AlphaEdit":
        return AlphaEdit(), Given(torch.linalg.qr(layer.normal(layer.d, layer.d // 8))[0])
    prior = LowRankPrior(alpha=0.0, rank=layer.d // 3) if name == "MEMIT-F" else None
    return Memit(lambda_=WEIGHT, history=True), prior


def drawn(table: pd.DataFrame, d: int) -> str:
    """An SVG: a dot per round, a line through the medians of each tenth; seconds on a logarithmic scale."""
    wide, high, left, top = 560, 300, 56, 34
    most = table.edits.max()
    low, up = math.floor(math.log10(table.cpu_seconds.min())), math.ceil(math.log10(table.cpu_seconds.max()))

    def x(edits: float) -> float:
        return left + wide * edits / most

    def y(seconds: float) -> float:
        return top + high * (up - math.log10(seconds)) / (up - low)

    parts = [text(left, 18, f"The solve of one layer in a round, d = {d:,}: seconds of the processor", size=13)]
    for power in range(low, up + 1):
        parts.append(f'<path d="M{left} {y(10**power):.1f}h{wide}" stroke="#ddd"/>')
        parts.append(text(left - 6, y(10**power) + 4, f"{10**power:g}", "end"))
    for edits in range(0, most + 1, max(most // 5, 1)):
        parts.append(text(x(edits), top + high + 16, f"{edits:,}", "middle"))
    parts.append(text(left + wide / 2, top + high + 34, "edits before and in the round", "middle"))
    for number, (name, rows) in enumerate(table.groupby("method", sort=False)):
        color = COLORS[number % len(COLORS)]
        dots = zip(rows.edits, rows.cpu_seconds, strict=True)
        parts += [f'<circle cx="{x(e):.1f}" cy="{y(s):.1f}" r="1.6" fill="{color}" opacity=".45"/>' for e, s in dots]
        tens = rows.groupby((rows.edits - 1) * 10 // most)
        line = " ".join(f"{x(part.edits.mean()):.1f},{y(part.cpu_seconds.median()):.1f}" for _, part in tens)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts.append(text(left + 8 + 170 * number, top + 14, name, color=color))
    size = f'width="{left + wide + 16}" height="{top + high + 46}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}><rect {size} fill="#fff"/>{"".join(parts)}</svg>\n'


def text(x: float, y: float, words: str, anchor: str = "start", size: int = 11, color: str = "#333") -> str:
    """Words in a plot."""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} font-size="{size}" fill="{color}" font-family="sans-serif">{words}</text>'


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
