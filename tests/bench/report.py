"""What long runs over several seeds say: two tables in Markdown and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from core.charts.colours import LANES, MARKERS, mark_of

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

SCORES = {
    "exact": "efficacy_exact",
    "when edited": "efficacy_exact_when_edited",
    "paraphrase": "paraphrase_exact",
    "neighborhood": "neighborhood_exact",
    "unedited": "unedited_recall",
    "tasks": "task_mean",
}
INSIDE = {"LS": "ls", "‖ΔW‖/‖W₀‖": "change"}  # means over the edited layers
PRESERVED = {"neighborhood": "neighborhood_exact", "unedited": "unedited_recall", "tasks": "task_mean"}
LEVELS = (0.95, 0.9, 0.8)  # exact efficacy
DRAWN = {"edits that are exact": "efficacy_exact", "unedited facts": "unedited_recall", "tasks": "task_mean"}


def read(folders: Sequence[Path]) -> pd.DataFrame:
    """A row per seed (the folder's name), lane and measured round: its scores, and the means over its layers."""
    rounds = pd.concat([pd.read_csv(folder / "rounds.csv").assign(seed=folder.name) for folder in folders])
    layers = pd.concat([pd.read_csv(folder / "layers.csv").assign(seed=folder.name) for folder in folders])
    inside = layers.groupby(["seed", "lane", "round"])[list(INSIDE.values())].mean().reset_index()
    return rounds.merge(inside, on=["seed", "lane", "round"], how="left")


def at_edits(rounds: pd.DataFrame, shown: Sequence[int]) -> str:
    """A row per lane and number of edits in `shown`, before all of them the unedited model."""
    columns = SCORES | INSIDE
    lines = [f"| edits | lane | {' | '.join(columns)} |", f"|---|---|{'---|' * len(columns)}"]
    for edits in (0, *shown):
        for lane in rounds.lane.unique()[: 1 if edits == 0 else None]:
            rows = rounds[(rounds.edits == edits) & (rounds.lane == lane)]
            cells = [spread(rows[column].dropna().tolist()) for column in columns.values()]
            lines.append(f"| {edits:,} | {'before' if edits == 0 else lane} | {' | '.join(cells)} |")
    return "\n".join(lines)


def at_exactness(rounds: pd.DataFrame) -> str:
    """A row per level of exact efficacy and lane: how many edits it takes while at least this share of all of them is
    exact, and what is preserved then. Measured rounds alone count, without interpolation."""
    lines = [f"| exact, at least | lane | edits | {' | '.join(PRESERVED)} |", f"|---|---|---|{'---|' * len(PRESERVED)}"]
    for level in LEVELS:
        for lane in rounds.lane.unique():
            last = [last_above(rows, level) for _, rows in rounds[rounds.lane == lane].groupby("seed", sort=False)]
            reached = pd.DataFrame([row for row in last if row is not None])
            edits = spread(reached.edits.tolist(), "{:,.0f}") if len(reached) else "–"
            of = f", {len(reached)} of {len(last)} seeds" if 0 < len(reached) < len(last) else ""
            cells = [spread(reached[column].tolist()) if len(reached) else "–" for column in PRESERVED.values()]
            lines.append(f"| {level:g} | {lane} | {edits}{of} | {' | '.join(cells)} |")
    return "\n".join(lines)


def last_above(rows: pd.DataFrame, level: float) -> pd.Series | None:
    """Of one lane and seed: the last measured round before exact efficacy falls below `level` for the first time; none
    if it is below from the first measurement on."""
    edited = rows[rows.edits > 0].sort_values("edits")
    above = (edited.efficacy_exact >= level).cummin()
    return edited[above].iloc[-1] if above.any() else None


def spread(values: Sequence[float], form: str = "{:.2f}") -> str:
    """Mean, and the range if values differ; a dash for none."""
    if not values:
        return "–"
    mean, low, high = (form.format(value) for value in (sum(values) / len(values), min(values), max(values)))
    return mean if low == high else f"{mean} ({low}–{high})"


def figure(rounds: pd.DataFrame) -> Figure:
    """Scores against edits: a line per lane through the means over seeds, in a band from the lowest to the highest."""
    from plotly.subplots import make_subplots

    picture = make_subplots(rows=1, cols=len(DRAWN), subplot_titles=list(DRAWN), shared_yaxes=True)
    for place, lane in enumerate(rounds.lane.unique()):
        colour = LANES[place % len(LANES)]
        for column, score in enumerate(DRAWN.values(), start=1):
            over = (
                rounds[rounds.lane == lane].groupby("edits")[score].agg(["mean", "min", "max"]).dropna().reset_index()
            )
            ends = [*over["max"], *over["min"][::-1]]
            picture.add_scatter(
                x=[*over.edits, *over.edits[::-1]], y=ends, fill="toself", mode="none", fillcolor=colour, opacity=0.15,
                hoverinfo="skip", showlegend=False, row=1, col=column,
            )  # fmt: skip
            picture.add_scatter(
                x=over.edits, y=over["mean"], name=lane, legendgroup=lane, showlegend=column == 1, mode="lines+markers",
                line={"color": colour, "width": 1.5}, marker={"symbol": mark_of(place, MARKERS), "size": 6},
                row=1, col=column,
            )  # fmt: skip
    picture.update_yaxes(range=[-0.02, 1.02])
    picture.update_xaxes(title="edits")
    picture.update_layout(template="plotly_white", width=1200, height=420, legend={"orientation": "h", "y": -0.22})
    return picture
