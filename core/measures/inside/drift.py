"""R_k: the change of hidden states along each principal direction of the original states.

    R_k = √n · mean_i |u_kᵀ Δh_i| / σ_k ,      H_orig = U Σ Vᵀ  (d×n, centred per feature),  Δh_i = h_edit,i − h_orig,i

("Revisiting parameter-based knowledge editing"; states are read at the output of the FFN down-projection.) Three things
decide whether the number is meaningful, and each has a test: states are centred by the mean over samples of every
feature (the released script takes the mean over features of every sample, which makes the all-ones direction null and
its R_k explode: `centre="sample"` shows that), Δh pairs the same inputs, and the factorisation is done in float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from core.measures.inside.spectrum import condition, thin

RESAMPLED = 2 / math.sqrt(math.pi)  # R_k of unpaired Gaussian samples without any edit
CHUNK = 8192  # rows factorised at a time
POINTS = 64


@dataclass(frozen=True)
class Principal:
    """Principal directions `u[:, k]` of n hidden states, and the singular values `sigma` of the centred d×n matrix."""

    u: Float[Tensor, "d d"]
    sigma: Float[Tensor, " d"]
    samples: int
    rcond: float

    @property
    def condition(self) -> float:
        """σ_1/σ_d, infinite if σ_d is round-off. Above 1e5 the last directions are round-off of the states."""
        return condition(self.sigma)

    @property
    def real(self) -> Bool[Tensor, " d"]:
        """Directions whose σ_k is larger than the round-off of the states."""
        return self.sigma > self.rcond * self.sigma[0]


def factorise(
    states: Float[Tensor, "n d"],
    centre: Literal["feature", "sample"] = "feature",
    dtype: torch.dtype = torch.float64,
) -> Principal:
    """Principal directions of `states` (a row per sample): QR of the tall matrix by blocks, then SVD of the d×d factor.

    `centre="sample"` and `dtype=torch.float32` repeat the released script. Raises ValueError where n < d: then
    d − n directions have σ_k = 0 and their R_k is undefined.
    """
    n, d = states.shape
    if n < d:
        raise ValueError(f"R_k needs at least as many states as dimensions: got {n} states of width {d}")
    rows = states.to(dtype)
    rows = rows - (rows.mean(0, keepdim=True) if centre == "feature" else rows.mean(1, keepdim=True))
    factor = rows[:0]
    for block in rows.split(max(CHUNK, d)):
        factor = torch.linalg.qr(torch.cat([factor, block]), mode="r").R
    _, sigma, vh = torch.linalg.svd(factor)
    return Principal(vh.T, sigma, n, math.sqrt(n) * torch.finfo(states.dtype).eps)


def r_k(
    principal: Principal, change: Float[Tensor, "n d"], average: Literal["mean", "rms"] = "mean"
) -> Float[Tensor, " d"]:
    """R_k for every direction k, of the change of the same samples that `principal` was made from (paired).

    `average="rms"` takes the root of the mean square over samples instead of the mean absolute value.
    Where σ_k is exactly 0, R_k is infinite, or 0 if nothing moved along u_k.
    """
    if len(change) != principal.samples:
        raise ValueError(f"{len(change)} changes for {principal.samples} states: R_k pairs the same samples")
    along = change.to(principal.u.dtype) @ principal.u
    size = along.abs().mean(0) if average == "mean" else along.square().mean(0).sqrt()
    ratio = math.sqrt(principal.samples) * size / principal.sigma
    return torch.where(size == 0, 0.0, ratio)


def summary(values: Float[Tensor, " k"]) -> dict[str, float]:
    """`rk_median`, `rk_q90`, `rk_over_1` (share of directions with R_k > 1), `rk_max`."""
    ordered = values.double()
    return {
        "rk_median": float(ordered.quantile(0.5)),
        "rk_q90": float(ordered.quantile(0.9)),
        "rk_over_1": float((ordered > 1).double().mean()),
        "rk_max": float(ordered.max()),
    }


def details(values: Float[Tensor, " k"]) -> dict[str, float]:
    """`rk_mean`, `rk_std` (n − 1), `rk_min`, and `rk_top_share`: the share of the largest R_k in ΣR_k.

    If the share is near 1, one direction (such as one that wrong centring makes null) dominates, and the mean has no
    meaning.
    """
    numbers = values.double()
    total = float(numbers.sum())
    return {
        "rk_mean": float(numbers.mean()),
        "rk_std": float(numbers.std()),
        "rk_min": float(numbers.min()),
        "rk_top_share": float(numbers.max()) / total if 0 < total < math.inf else math.nan if total else 0.0,
    }


def points(values: Float[Tensor, " k"], limit: int = POINTS) -> dict[str, list]:
    """R_k to draw: `k` (0-based direction) and `rk` there."""
    index = thin(len(values), limit)
    return {"k": index, "rk": [float(values[i]) for i in index]}


def resampled_control(principal: Principal, states: Float[Tensor, "n d"], seed: int = 0) -> Float[Tensor, " d"]:
    """R_k without an edit and without pairing: every state is compared with that of another sample.

    About 2/√π = 1.128 in every direction of Gaussian states. An R_k near it indicates unpaired samples, not edits.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(states), generator=generator)
    other = torch.empty_like(order)
    other[order] = order.roll(1)  # one cycle through all samples: none is paired with itself
    return r_k(principal, states[other.to(states.device)] - states)
