"""Inside: the change of activations along each direction, relative to their spread along it."""

from __future__ import annotations

from core.charts.equations import R_K
from core.charts.grammar import Chart, Choice, Figure, Plot, Reference, Rule
from core.charts.panel import Event, Panel, Start
from core.charts.table import LANE, LAYER, ROUND, Block, Column, packed, picked, short, thinned

CONTROLS = {"null": "null edit", "resampled": "other inputs, no edit"}
SUMMARIES = (
    Column("rk_over_1", "directions with R_k above 1", "share"),
    Column("rk_median", "median of R_k"),
    Column("rk_q90", "upper decile of R_k"),
)


def start(event: Event) -> Start:
    """The texts that states are read on, or the reason why there is no R_k; and R_k without any edit of each layer,
    twice: a second pass (null edit) and unpaired inputs, for the runs that recorded them."""
    blocks: list[Block] = []
    for control in event.get("controls") or []:
        keep = thinned(len(control["k"]))
        numbers = [control["k"][i] + 1 for i in keep]
        for name, says in CONTROLS.items():
            values = picked(control[name], keep)
            blocks.append({"table": "drift", "reference": says, "layer": control["layer"], "k": numbers, "rk": values})
    read = (event.get("reads") or {}).get("drift")
    lacking = (event.get("lacking") or {}).get("drift") or ""
    return Start(blocks=blocks, protocol=f"on {read}" if read else "", lacking=lacking)


def drift(event: Event) -> list[Block]:
    """R_k of each edited layer with few points, and its summaries over all k."""
    blocks: list[Block] = []
    for row in event.get("drift") or []:
        values = row.get("rk") or []
        keep = thinned(len(values))
        numbers = picked([k + 1 for k in row.get("k") or range(len(values))], keep)
        blocks.append({"table": "drift", "layer": row["layer"], "k": numbers, "rk": picked(values, keep)})
    drawn = {block["layer"] for block in blocks}
    rows = [row for row in event.get("layers") or [] if row["layer"] in drawn]
    known = [
        {"layer": row["layer"]} | {column.name: short(row.get(column.name)) for column in SUMMARIES} for row in rows
    ]
    return blocks + ([packed("summary", known)] if known else [])


PANEL = Panel(
    key="drift",
    place=5,
    title="Activation drift R<sub>k</sub>",
    protocol="same tokens before and after, centered per feature",
    promise="How far edits move the activations, relative to their natural spread.",
    explanation="For each principal direction k of the unedited activations: how far an edit moves them along it, in "
    "units of their natural spread. Below 1 the shift is within natural variation; above 1 the activations leave the "
    "range that the model knew. Two grey lines are controls without an edit: a second pass of the unedited model (null "
    "edit: 0, drawn at the bottom of the log axis), and activations on other inputs, about 2/√π.",
    equation=R_K,
    plot=Plot(
        charts=(
            Chart(
                table="drift",
                kind="line",
                x="k",
                y="rk",
                title="",
                x_title="principal direction k",
                y_title="",
                log_x=True,
                log_y=True,
                floor=True,
                at_round=True,
                references=(
                    Reference(name=CONTROLS["null"], dash="dot", label=True),
                    Reference(name=CONTROLS["resampled"], dash="dash", label=True),
                ),
                rules=(Rule(value=1.0),),
            ),
        ),
        choices=(Choice(name="layer", label="Layer", column="layer", shared=True),),
        figures=(
            Figure(title="Directions above 1", table="summary", column="rk_over_1"),
            Figure(title="Median", table="summary", column="rk_median"),
        ),
    ),
    columns={
        "drift": (LANE, ROUND, LAYER, Column("k", "principal direction k", "index"), Column("rk", "R_k")),
        "summary": (LANE, ROUND, LAYER, *SUMMARIES),
    },
    rows=drift,
    start=start,
)
