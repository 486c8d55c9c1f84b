"""Inside: has the dominant subspace of an edited matrix turned away from that of W0?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.charts.formula import both, formula, frac, norm, row, sub, under, words
from lab_app.panels.panel import Panel, Payload, point, short

COLUMNS = (
    "dominant_rank",
    "k",
    "ls",
    "ss_right",
    "ss_left",
    "ss_right_mean",
    "ss_left_mean",
    "drift_right",
    "drift_left",
    "frobenius",
    "condition",
    "numerical_rank",
    "rank_tolerance",
    "delta_frobenius",
    "removed_share",
    "change",
)


def similarity(event: Mapping[str, Any]) -> Payload | None:
    """LS, SS, drift and norms of each edited layer of one lane."""
    layers = [
        {"layer": found["layer"]} | {name: short(found[name]) for name in COLUMNS if found.get(name) is not None}
        for found in event.get("layers") or []
    ]
    return point(event) | {"layers": layers} if layers else None


PANEL = Panel(
    key="similarity",
    title="Subspace similarity",
    protocol="k fixed by W₀ at this lane’s τ (0.1 without guard)",
    promise="Do the strongest directions of a matrix stay what they were?",
    explanation="LS compares the strongest part of the edited matrix with that of the unedited one, SS asks whether "
    "its first singular direction is still found there: 1 is untouched, 0 is unrelated. Both can fall under a guard "
    "that holds, because directions grown elsewhere outrank the old ones; so the drift inside the protected block "
    "stands beside them, on the right (inputs) and on the left (outputs), and only a leak moves it from zero.",
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
    row=similarity,
)
