"""Lanes compared at equal efficacy: a guard that keeps more only because it edits less has gained nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

Point = tuple[float, float]  # efficacy, what was kept


def best(points: Sequence[Point]) -> list[bool]:
    """Which points are on the frontier: no other is at least as good in both and better in one."""
    return [
        not any(e >= efficacy and k >= kept and (e, k) != (efficacy, kept) for e, k in points)
        for efficacy, kept in points
    ]


def kept_at(points: Sequence[Point], efficacy: float) -> float:
    """What a family of lanes (one guard over its strengths) keeps at an efficacy, on the straight line between its
    two nearest points; the best where several lines reach it. NaN outside of what the family reaches."""
    ordered = sorted(points)
    found = [kept for reached, kept in ordered if reached == efficacy]
    for (left, low), (right, high) in zip(ordered[:-1], ordered[1:], strict=True):
        if left < efficacy < right:
            found.append(low + (high - low) * (efficacy - left) / (right - left))
    return max(found, default=math.nan)
