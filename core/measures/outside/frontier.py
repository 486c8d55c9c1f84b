"""Lanes compared at equal efficacy: a guard that keeps more only because it edits less has gained nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

Point = tuple[float, float]  # efficacy, what was kept


def most_kept(points: Sequence[Point], efficacy: float) -> float:
    """What a family of lanes (one guard over its strengths) can keep while it says at least this share of the edits;
    NaN where none of its lanes says so much.

    Of lanes that were run, not of a line between them: a family need not say less the stronger it is. The best of
    several noisy lanes is flattered by a little; compare families of about as many lanes.
    """
    return max((preserved for achieved, preserved in points if achieved >= efficacy), default=math.nan)
