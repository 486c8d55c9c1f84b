"""Lanes compared at equal efficacy: a guard that preserves more only because it edits less is no improvement."""

from __future__ import annotations

import math
from collections.abc import Sequence

Point = tuple[float, float]  # efficacy, what was kept


def most_kept(points: Sequence[Point], efficacy: float) -> float:
    """The most that a family of lanes (one guard at several strengths) preserves with at least this efficacy; NaN if no
    lane reaches it.

    Only lanes that were run count, without interpolation: a stronger guard of a family need not have less efficacy. The
    best of several noisy lanes is slightly overestimated; compare families of similar size.
    """
    return max((preserved for achieved, preserved in points if achieved >= efficacy), default=math.nan)
