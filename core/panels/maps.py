"""Inside: prompts as points in one plane, before and after the edits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.charts.formula import formula, power, row, sub
from core.charts.grammar import Chart, Choice, Plot
from core.charts.panel import Event, Panel, lacks
from core.charts.table import LANE, ROUND, Block, Column, short

MOST = 240  # points that are sent for one lane and round
DIGITS = 3
METHODS = (("pca", "PCA"), ("tsne", "t-SNE"), ("umap", "UMAP"))
COLUMNS = {"x_before": "x0", "y_before": "y0", "x": "x", "y": "y"}  # as a map names them


def drawn(event: Mapping[str, Any]) -> Block:
    """A map with at most `MOST` points: their positions before and after the edits, and the index of the fact."""
    count = len(event.get("x") or [])
    step = max(1, -(-count // MOST))
    fields = {name: short((event.get(own) or [])[::step], DIGITS) for name, own in COLUMNS.items()}
    about = {"table": "map", "method": event.get("method", "pca"), "fact": (event.get("fact") or [])[::step]}
    return about | fields


def rows(event: Event) -> list[Block]:
    """The map that was measured with a round, if any."""
    return [drawn(event["map"])] if event.get("map") else []


PANEL = Panel(
    key="map",
    place=8,
    title="Map of representations",
    protocol="hidden states at the subject’s last token",
    promise="Where prompts lie inside the model, before and after the edits.",
    explanation="Each point is a prompt's hidden state after the last layer that any lane may edit. The line shows how "
    "the edits moved it: hollow is before, solid after. PCA is linear and uses the same axes before and after; t-SNE "
    "and UMAP, on request, preserve neighborhoods but not distances.",
    equation=formula(
        sub("z", "i"), "=", row(power("P", "⊤"), "(", sub("h", "i"), "−", "<mover><mi>h</mi><mo>¯</mo></mover>", ")")
    ),
    plot=Plot(
        charts=(
            Chart(
                table="map",
                kind="moved",
                x="x",
                y="y",
                x_from="x_before",
                y_from="y_before",
                facet="lane",
                title="",
                x_title="",
                y_title="",
                at_round=True,
            ),
        ),
        choices=(Choice(name="method", label="Projection", options=METHODS, column="method"),),
    ),
    columns={
        "map": (
            LANE,
            ROUND,
            Column("method", "projection", "text"),
            Column("fact", "fact", "index"),
            *(Column(name, name.replace("_", " ")) for name in COLUMNS),
        )
    },
    rows=rows,
    start=lacks("states"),
    wide=True,
    requests=("map",),
)
