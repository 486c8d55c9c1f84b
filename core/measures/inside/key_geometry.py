"""How alike the keys of different subjects are, and how many directions the keys of a layer have."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from core.measures.inside.spectrum import condition


def mean_cosine(keys: Float[Tensor, "d n"], subjects: Sequence[str]) -> float:
    """The mean cosine over all pairs of keys of different subjects, in float64; NaN without such a pair.

    From sums of unit vectors: Σ_{i≠j} cos = ‖Σ u_i‖² − n over all keys, less the same over the keys of each subject.
    """
    unit = keys.double() / keys.double().norm(dim=0).clamp(min=torch.finfo(torch.float64).tiny)
    groups: dict[str, list[int]] = defaultdict(list)
    for place, subject in enumerate(subjects):
        groups[subject].append(place)
    own = sum(float(unit[:, places].sum(1).square().sum()) for places in groups.values())
    pairs = len(subjects) ** 2 - sum(len(places) ** 2 for places in groups.values())
    return (float(unit.sum(1).square().sum()) - own) / pairs if pairs else math.nan


def moment_rank(moment: Float[Tensor, "d d"], stored: torch.dtype = torch.float64) -> tuple[int, float]:
    """(numerical rank, condition number λ_1/λ_d) of a second moment.

    Of its eigenvalues those count that exceed the round-off of the type in which it is `stored`, d · eps · λ_1. The
    condition is infinite if one does not.
    """
    values = torch.linalg.eigvalsh(moment.double()).flip(0)
    counted = int((values > len(values) * torch.finfo(stored).eps * values[0]).sum())
    return counted, condition(values) if counted == len(values) else math.inf
