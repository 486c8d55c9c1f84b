"""Effective ranks of a matrix, by several definitions in use."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

SHARES = (0.9, 0.95, 0.99)


def effective_ranks(sigma: Float[Tensor, " r"]) -> dict[str, float | int]:
    """Effective ranks of a matrix with these singular values (descending).

    `r_entropy` = exp of the entropy of σ/Σσ (what the R_k paper's released analysis saves as r_eff);
    `r_energy_90`, `_95`, `_99` = the fewest σ that hold such a share of Σσ²; `r_above_1` = how many σ are at least 1 %
    of σ_1; `r_participation` = (Σσ²)² / Σσ⁴. All are 0 for a zero matrix.
    """
    values = sigma.double()
    squares = values.square()
    total = float(squares.sum())
    names = [f"r_energy_{round(100 * share)}" for share in SHARES]
    if total == 0:
        return {"r_entropy": 0.0, **dict.fromkeys(names, 0), "r_above_1": 0, "r_participation": 0.0}
    part = values / values.sum()
    cumulative = squares.cumsum(0) / total
    return {
        "r_entropy": math.exp(float(-torch.special.xlogy(part, part).sum())),
        **{
            name: min(int((cumulative < share - 1e-12).sum()) + 1, len(values))
            for name, share in zip(names, SHARES, strict=True)
        },
        "r_above_1": int((values >= 0.01 * values[0]).sum()),
        "r_participation": total**2 / float(squares.square().sum()),
    }


def smallest(sigma: Float[Tensor, " r"]) -> dict[str, float]:
    """`sigma_1`, `sigma_min`, the one before it `sigma_before_min`, and `condition` = σ_1/σ_min (infinite at 0).

    A σ_min far below its neighbor indicates one null direction (as centring causes), not a flat spectrum.
    """
    first, last = float(sigma[0]), float(sigma[-1])
    return {
        "sigma_1": first,
        "sigma_before_min": float(sigma[max(0, len(sigma) - 2)]),
        "sigma_min": last,
        "condition": first / last if last > 0 else math.inf,
    }
