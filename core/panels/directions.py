"""Inside: which of W₀'s singular directions dominate an edited matrix now?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.charts.formula import both, formula, row, sub, under, words
from core.charts.grammar import Chart, Choice, Chosen, Figure, Plot
from core.charts.panel import Event, Panel, lacks
from core.charts.table import LANE, LAYER, ROUND, Block, Column, Row, packed, short, thinned

MOST = 18  # points of a curve
DECIMALS = 3  # of a cosine that is drawn
SIDES = {"right": "inputs (v)", "left": "outputs (u)"}
FIRST, BEST = "first", "best"  # the curves


def directions(event: Event) -> list[Block]:
    """SS of each edited layer of one lane, by side: of its first direction with every j of W₀, and the maximum over
    all j for each dominant direction i; also the j that is nearest to the first direction. All count from 1."""
    blocks: list[Block] = []
    nearest: list[Row] = []
    for event_row in event.get("similarity") or []:
        common = {"table": "directions", "layer": event_row["layer"]}
        near: Row = {"layer": event_row["layer"]}
        for side in SIDES:
            peaks = highest(event_row[f"ss_{side}_first"], MOST)
            j = [event_row[f"index_{side}"][at] + 1 for at in peaks]
            first = [rounded(event_row[f"ss_{side}_first"][at]) for at in peaks]
            blocks.append(common | {"curve": FIRST, "i": 1, "j": j, f"ss_{side}": first})
            near[f"nearest_{side}"] = j[max(range(len(j)), key=lambda at: first[at] or 0.0)] if j else None
        keep = thinned(len(event_row["index_max"]), MOST)
        most = {f"ss_{side}": [rounded(event_row[f"ss_{side}_max"][at]) for at in keep] for side in SIDES}
        blocks.append(common | {"curve": BEST, "i": [event_row["index_max"][at] + 1 for at in keep]} | most)
        nearest.append(near)
    return [*blocks, packed("nearest", nearest)] if blocks else []


def rounded(value: Any) -> int | float | None:
    """A cosine with few decimals; None if it cannot be drawn."""
    number = short(value)
    return None if number is None else round(number, DECIMALS)


def highest(values: Sequence[Any], most: int) -> list[int]:
    """At most `most` positions of a curve, in order: the highest of each of as many equal stretches, so that no peak
    is lost."""
    size = -(-len(values) // most)
    return [
        max(range(at, min(at + size, len(values))), key=lambda i: short(values[i]) or 0.0)
        for at in range(0, len(values), size)
    ]


def of_side(name: str) -> Chosen:
    """The column of the selected side."""
    return Chosen("side", {side: f"{name}_{side}" for side in SIDES})


def chart(x: str, curve: str, x_title: str) -> Chart:
    """One of the two curves."""
    return Chart(
        table="directions",
        kind="line",
        x=x,
        y=of_side("ss"),
        where={"curve": curve},
        title="",
        x_title=x_title,
        y_title="",
        log_x=True,
        at_round=True,
    )


PANEL = Panel(
    key="directions",
    place=6,
    title="Where the dominant directions moved (SS<sub>j</sub>)",
    protocol="|cosine| of singular vectors; the maximum of each interval of j",
    promise="Which directions of the unedited matrix are the strongest now?",
    explanation="Left: the first direction of the edited matrix compared with every direction j of the unedited one. A "
    "peak of 1 at j = 1 is a direction that stayed; a peak further right, one that was weaker before; no peak, a new "
    "direction. Right: every dominant direction i with its best match. Low values have left the subspace of the "
    "unedited matrix.",
    equation=formula(
        sub("SS", "j"),
        "=",
        row("|", "⟨", both("v", "t", "(1)"), ",", both("v", "0", "(j)"), "⟩", "|"),
        ",",
        words(" on the right"),
        under("max", "j"),
        row("|", "⟨", both("v", "t", "(i)"), ",", both("v", "0", "(j)"), "⟩", "|"),
    ),
    plot=Plot(
        charts=(chart("j", FIRST, "direction j of W₀"), chart("i", BEST, "direction i of Wₜ")),
        choices=(
            Choice(name="side", label="Side", options=tuple(SIDES.items())),
            Choice(name="layer", label="Layer", column="layer", shared=True),
        ),
        figures=(Figure(title="The first direction is nearest to j", table="nearest", column=of_side("nearest")),),
    ),
    columns={
        "directions": (
            LANE,
            ROUND,
            LAYER,
            Column("curve", "curve", "text"),
            Column("i", "direction i of Wₜ", "index"),
            Column("j", "direction j of W₀", "index"),
            *(Column(f"ss_{side}", f"SS, {says}", "cosine") for side, says in SIDES.items()),
        ),
        "nearest": (LANE, ROUND, LAYER, *(Column(f"nearest_{side}", says, "index") for side, says in SIDES.items())),
    },
    rows=directions,
    start=lacks("weights"),
    wide=True,
)
