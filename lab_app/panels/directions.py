"""Inside: which of W₀'s singular directions are the dominant ones of an edited matrix now?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.charts.formula import both, formula, row, sub, under, words
from lab_app.panels.panel import Panel, Payload, point, short, thinned

MOST = 18  # points of a curve
DECIMALS = 3  # of a cosine that is drawn


def directions(event: Mapping[str, Any]) -> Payload | None:
    """SS of each edited layer of one lane, by side: of its first direction with j of W₀ (`j`, `first`), and the best of
    all j for each dominant direction i (`i`, `most`). Both count from 1."""
    layers = []
    for found in event.get("similarity") or []:
        keep = thinned(len(found["index_max"]), MOST)
        item: Payload = {"layer": found["layer"], "i": [found["index_max"][at] + 1 for at in keep]}
        for side in ("right", "left"):
            peaks = highest(found[f"ss_{side}_first"], MOST)
            item[side] = {
                "j": [found[f"index_{side}"][at] + 1 for at in peaks],
                "first": [rounded(found[f"ss_{side}_first"][at]) for at in peaks],
                "most": [rounded(found[f"ss_{side}_max"][at]) for at in keep],
            }
        layers.append(item)
    return point(event) | {"layers": layers} if layers else None


def rounded(value: Any) -> float | None:
    """A cosine with few decimals; None for none that can be drawn."""
    found = short(value)
    return None if found is None else round(found, DECIMALS)


def highest(values: Sequence[Any], most: int) -> list[int]:
    """At most so many positions of a curve, in order: the highest of each of as many stretches, so that no peak is
    lost."""
    size = -(-len(values) // most)
    return [
        max(range(at, min(at + size, len(values))), key=lambda i: short(values[i]) or 0.0)
        for at in range(0, len(values), size)
    ]


PANEL = Panel(
    key="directions",
    title="Where the dominant directions went (SS<sub>j</sub>)",
    protocol="|cosine| of singular vectors; of each stretch of j the highest",
    promise="Which directions of the unedited matrix are the strongest ones now?",
    explanation="On the left the first direction of the edited matrix beside every direction j of the unedited one: a "
    "peak of 1 at j = 1 is a direction that stayed, one further right a direction that was weaker before, and no peak "
    "at all a new one. On the right every dominant direction i with its best match: what falls has left the subspace "
    "that the unedited matrix had.",
    equation=formula(
        sub("SS", "j"),
        "=",
        row("|", "⟨", both("v", "t", "(1)"), ",", both("v", "0", "(j)"), "⟩", "|"),
        ",",
        words(" on the right"),
        under("max", "j"),
        row("|", "⟨", both("v", "t", "(i)"), ",", both("v", "0", "(j)"), "⟩", "|"),
    ),
    row=directions,
    snapshot=True,
    wide=True,
)
