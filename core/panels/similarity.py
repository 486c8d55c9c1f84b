"""Inside: has the dominant subspace of an edited matrix rotated away from that of W₀?"""

from __future__ import annotations

from core.charts.formula import both, formula, frac, norm, row, sub, under, words
from core.charts.grammar import Chart, Choice, Chosen, Figure, Plot
from core.charts.panel import Event, Panel, lacks
from core.charts.table import EDITS, LANE, LAYER, ROUND, Block, Column, packed, short

MEASURES = {"ls": "LS", "ss_right": "SS right", "ss_left": "SS left"}
COLUMNS = (
    Column("dominant_rank", "k of Wₜ", "count"),
    Column("k", "k of W₀", "count"),
    *(Column(name, title, "cosine") for name, title in MEASURES.items()),
    Column("ss_right_mean", "SS right, mean", "cosine"),
    Column("ss_left_mean", "SS left, mean", "cosine"),
    Column("drift_right", "drift, right"),
    Column("drift_left", "drift, left"),
    Column("frobenius", "‖Wₜ‖"),
    Column("condition", "condition κ₂"),
    Column("numerical_rank", "numerical rank", "count"),
    Column("rank_tolerance", "rank tolerance"),
    Column("change", "‖Wₜ − W₀‖/‖W₀‖"),
    Column("delta_frobenius", "‖ΔW‖"),
    Column("removed_share", "share of ‖ΔW‖² removed", "share"),
)


def similarity(event: Event) -> list[Block]:
    """LS, SS, drift and norms of each edited layer of one lane."""
    rows = [
        {"layer": row["layer"]}
        | {column.name: short(row[column.name]) for column in COLUMNS if row.get(column.name) is not None}
        for row in event.get("layers") or []
    ]
    return [packed("layers", rows, edits=(event.get("scores") or {}).get("edits"))] if rows else []


PANEL = Panel(
    key="similarity",
    place=4,
    title="Subspace similarity",
    protocol="k fixed by W₀ at this lane’s τ (0.1 without a guard)",
    promise="Do the strongest directions of a matrix stay the same?",
    explanation="LS compares the dominant part of the edited matrix with that of the unedited one. SS tests whether "
    "its first singular direction is still present in it. 1 is unchanged, 0 is unrelated. Both can fall under a "
    "guard that holds, because new directions can outrank the old ones. The drift inside the protected block is "
    "therefore shown too, on the right (inputs) and on the left (outputs): it is zero unless the guard leaks.",
    equation=formula(
        words("LS"),
        "=",
        frac(
            row("⟨", both("W", "t", "(k)"), ",", both("W", "0", "(k)"), "⟩"),
            row(norm(both("W", "t", "(k)")), norm(both("W", "0", "(k)"))),
        ),
        ",",
        words(" SS"),
        "=",
        under("max", "j"),
        row("|", "⟨", both("v", "t", "(1)"), ",", both("v", "0", "(j)"), "⟩", "|"),
    )
    + formula(
        words("drift, right"),
        "=",
        frac(norm("(", sub("W", "t"), "−", sub("W", "0"), ")", sub("V", "k")), norm(sub("W", "0"))),
        ",",
        words(" left"),
        "=",
        frac(norm(both("U", "k", "⊤"), "(", sub("W", "t"), "−", sub("W", "0"), ")"), norm(sub("W", "0"))),
    ),
    plot=Plot(
        charts=(
            Chart(
                table="layers",
                kind="line",
                x="edits",
                y=Chosen("measure", {name: name for name in MEASURES}),
                title="",
                x_title="",
                y_title="",
            ),
            Chart(
                table="layers",
                kind="line",
                x="edits",
                y="drift_right",
                y_also="drift_left",
                title="",
                x_title="",
                y_title="",
            ),
        ),
        choices=(
            Choice(name="measure", label="Measure", options=tuple(MEASURES.items())),
            Choice(name="layer", label="Layer", column="layer", shared=True),
        ),
        figures=(
            Figure(
                title=Chosen("measure", {name: f"{title} to W₀" for name, title in MEASURES.items()}),
                table="layers",
                column=Chosen("measure", {name: name for name in MEASURES}),
            ),
            Figure(title="Drift inside the block, right", table="layers", column="drift_right"),
            Figure(title="Drift inside the block, left (dotted)", table="layers", column="drift_left"),
        ),
    ),
    columns={"layers": (LANE, ROUND, EDITS, LAYER, *COLUMNS)},
    rows=similarity,
    start=lacks("weights"),
)
