"""Rank correlation over a few rounds, with p-values for small samples and a correction for many tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations

import numpy as np

EXACT = 8  # values up to which all n! orders are looked at
DRAWS = 20_000


def ranks(values: Sequence[float | int]) -> np.ndarray:
    """Ranks from 1; equal values share the mean of their ranks."""
    numbers = np.asarray(values, dtype=float)
    _, place, count = np.unique(numbers, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]


def spearman(first: Sequence[float | int], second: Sequence[float | int]) -> float:
    """ρ: the correlation of ranks. NaN if one of the two never changes, or for fewer than two values."""
    a, b = ranks(first), ranks(second)
    a, b = a - a.mean() if len(a) else a, b - b.mean() if len(b) else b
    size = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / size if size > 0 else math.nan


def p_by_t(rho: float | int, n: int) -> float:
    """Two-sided p of ρ by Student's t with n − 2 degrees of freedom, as the R_k paper's tables have it.

    NaN below three values; for a small n it is a rough approximation.
    """
    if n < 3 or math.isnan(rho):
        return math.nan
    if abs(rho) >= 1:
        return 0.0
    from scipy.special import stdtr

    return float(2 * stdtr(n - 2, -abs(rho) * math.sqrt((n - 2) / (1 - rho * rho))))


def p_by_permutation(
    first: Sequence[float | int], second: Sequence[float | int], seed: int = 0, draws: int = DRAWS
) -> float:
    """Two-sided p: the share of orders of `second` with at least this |ρ|. All orders for n ≤ 8, else `draws` of them
    (with the given one counted in). With n rounds it cannot be below 2/n! for distinct values."""
    a, b = ranks(first), ranks(second)
    if len(a) < 2 or len(set(a)) < 2 or len(set(b)) < 2:
        return math.nan
    a, b = a - a.mean(), b - b.mean()
    limit = abs(float(a @ b)) * (1 - 1e-12) - 1e-12
    if len(a) <= EXACT:
        orders = np.array(list(permutations(range(len(b)))))
        return float((np.abs(b[orders] @ a) >= limit).mean())
    shuffled = np.random.default_rng(seed).permuted(np.tile(b, (draws, 1)), axis=1)
    return float((1 + (np.abs(shuffled @ a) >= limit).sum()) / (1 + draws))


def holm(p_values: Sequence[float | int]) -> list[float]:
    """Holm's step-down adjustment: the chance of any false alarm among these tests stays below the level.

    NaN stays NaN and is not counted as a test.
    """
    known = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    adjusted, highest = [math.nan] * len(p_values), 0.0
    for place, (p, i) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - place) * p))
        adjusted[i] = highest
    return adjusted


def trimmed_mean(values: Sequence[float | int], share: float = 0.1) -> float:
    """The mean without the lowest and highest `share` of the values."""
    ordered = sorted(values)
    cut = int(share * len(ordered))
    middle = ordered[cut : len(ordered) - cut]
    return float(sum(middle) / len(middle))
