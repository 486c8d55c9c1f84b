"""How long edits last: every round's facts (a cohort), scored at several rounds.

`Outcomes` holds, for (cohort, round), one score per scored fact of the cohort. A cohort's age is the number of rounds
since its own: 0 right after its edit, negative before it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Outcomes = Mapping[tuple[int, int], Sequence[float]]


def matrix(outcomes: Outcomes) -> list[dict[str, Any]]:
    """A row per cohort and round: `cohort, round, age, value` (the mean over the cohort's facts), `facts`."""
    return [
        {"cohort": cohort, "round": at, "age": at - cohort, "value": float(np.mean(values)), "facts": len(values)}
        for (cohort, at), values in sorted(outcomes.items())
        if len(values)
    ]


def forgetting(outcomes: Outcomes) -> list[dict[str, Any]]:
    """The forgetting curve, a row per age from 0 on: `age, value, low, high, facts, cohorts`.

    `value` is the mean over all facts scored at that age, whatever their cohort; `low` and `high` a 95 % interval from
    1,000 resamples of cohorts (of facts where there is only one cohort): facts of a cohort are forgotten together.
    """
    ages: dict[int, list[np.ndarray]] = defaultdict(list)
    for (cohort, at), values in sorted(outcomes.items()):
        if at >= cohort and len(values):
            ages[at - cohort].append(np.asarray(values, dtype=float))
    rows = []
    for age in sorted(ages):
        low, high = interval(ages[age])
        every = np.concatenate(ages[age])
        rows.append(
            {
                "age": age,
                "value": float(every.mean()),
                "low": low,
                "high": high,
                "facts": len(every),
                "cohorts": len(ages[age]),
            }
        )
    return rows


def interval(groups: Sequence[np.ndarray], draws: int = 1000, seed: int = 0) -> tuple[float, float]:
    """The middle 95 % of the overall means of `draws` resamples of whole groups; of one group's members if alone."""
    if len(groups) == 1:
        groups = [np.array([value]) for value in groups[0]]
    sums = np.array([group.sum() for group in groups])
    sizes = np.array([len(group) for group in groups])
    chosen = np.random.default_rng(seed).integers(len(groups), size=(draws, len(groups)))
    low, high = np.quantile(sums[chosen].sum(1) / sizes[chosen].sum(1), [0.025, 0.975])
    return float(low), float(high)


def half_life(curve: Sequence[Mapping[str, Any]]) -> float | None:
    """The age in rounds at which a forgetting curve first falls to half of its value at age 0.

    Between two ages the curve is a straight line. None if it never falls so far, if it has no age 0, or starts at 0.
    """
    if not curve or curve[0]["age"] != 0 or curve[0]["value"] <= 0:
        return None
    half = curve[0]["value"] / 2
    for before, after in zip(curve[:-1], curve[1:], strict=True):
        if after["value"] <= half:
            share = (before["value"] - half) / (before["value"] - after["value"])
            return before["age"] + share * (after["age"] - before["age"])
    return None
