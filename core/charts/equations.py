"""Equations that occur in several places of the page."""

from core.charts.formula import both, formula, frac, power, root, row, sub, total

METHOD = formula(  # MEMIT: a round's least squares
    "ΔW", "=", "R", power("K", "⊤"), power(row("(", "λ", sub("C", "0"), "+", "K", power("K", "⊤"), ")"), "−1")
)
GUARD = formula(  # REVIVE: what is left of an update
    sub("ΔW", "safe"),
    "=",
    row("(", "I", "−", sub("U", "k"), power(sub("U", "k"), "⊤"), ")"),
    "ΔW",
    row("(", "I", "−", sub("V", "k"), power(sub("V", "k"), "⊤"), ")"),
)
R_K = formula(
    sub("R", "k"),
    "=",
    frac(root("n"), sub("σ", "k")),
    "·",
    frac("1", "n"),
    total("i", row("|", both("u", "k", "⊤"), "Δ", sub("h", "i"), "|")),
)
