"""Singular values of a weight matrix: their energy, the dominant rank at τ, and the reference that W0 is.

Energy is the plain sum of singular values, E = Σσ_i (not of their squares), as REVIVE defines its threshold τ
(https://arxiv.org/abs/2601.11042, section 2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

POINTS = 96  # of a curve that is drawn
SLACK = 1e-9  # a cumulative share this close to τ has reached it


@dataclass(frozen=True)
class Spectrum:
    """`weight ≈ u @ diag(sigma[:k]) @ vh`: all r singular values, and the first k singular vectors."""

    sigma: Float[Tensor, " r"]
    u: Float[Tensor, "d_out k"]
    vh: Float[Tensor, "k d_in"]
    rcond: float  # singular values up to rcond · sigma[0] count as zero

    @property
    def rank(self) -> int:
        """How many singular values are not zero."""
        return int((self.sigma > self.rcond * self.sigma[0]).sum())

    @property
    def frobenius(self) -> float:
        return float(self.sigma.norm())

    @property
    def spectral(self) -> float:
        return float(self.sigma[0])

    @property
    def condition(self) -> float:
        """κ₂ = σ_1 / σ_min over the non-zero σ (that of the pseudo-inverse); NaN for a zero matrix."""
        return self.condition_above(self.rcond)

    def condition_above(self, cutoff: float) -> float:
        """κ₂ over the σ above `cutoff` · σ_1; NaN for a zero matrix."""
        counted = self.sigma[self.sigma > cutoff * self.sigma[0]]
        return float(counted[0] / counted[-1]) if len(counted) else math.nan


def spectrum(weight: Float[Tensor, "d_out d_in"], vectors: int | None = None) -> Spectrum:
    """Singular values of `weight`, and its first `vectors` singular vectors (all of them by default).

    A float32 matrix goes through the eigenvectors of its smaller Gram matrix in float64, a quarter of the time of an
    SVD. Squaring costs half of the digits: a relative error of 1e-16·(σ_1/σ_i)², so 1e-9 where σ_i is 1/3000 of σ_1,
    while an SVD in float32 would leave 1e-7·σ_1/σ_i = 4e-4. Below the cut-off, `max(d_out, d_in) · eps(dtype)`
    relative to σ_1 (3e-4 for a width of 2304), singular values are the round-off of the stored weights; they have no
    vectors of their own, so their rows in `u` and `vh` are zero on the longer side. A float64 matrix gets a full SVD.
    """
    rcond = max(weight.shape) * torch.finfo(weight.dtype).eps
    short = min(weight.shape)
    k = short if vectors is None else min(vectors, short)
    if weight.dtype == torch.float64:
        u, sigma, vh = torch.linalg.svd(weight, full_matrices=False)
        return Spectrum(sigma, u[:, :k], vh[:k], rcond)
    wide = weight.double() if weight.shape[0] == short else weight.double().T
    values, vectors_ = torch.linalg.eigh(wide @ wide.T)
    sigma = values.flip(0).clamp(min=0).sqrt()
    near = vectors_.flip(1)[:, :k]
    real = sigma[:k] > rcond * sigma[0]
    far = (near.T @ wide) * torch.where(real, 1 / sigma[:k].clamp(min=torch.finfo(torch.float64).tiny), 0.0)[:, None]
    return Spectrum(sigma, near, far, rcond) if weight.shape[0] == short else Spectrum(sigma, far.T, near.T, rcond)


def cumulative_energy(sigma: Float[Tensor, " r"]) -> Float[Tensor, " r"]:
    """Share of Σσ that the first 1, 2, … r singular values hold (the last entry is 1)."""
    total = sigma.double().sum()
    return sigma.double().cumsum(0) / total.clamp(min=torch.finfo(torch.float64).tiny)


def dominant_rank(sigma: Float[Tensor, " r"], tau: float) -> int:
    """The smallest k whose first k singular values hold at least a share τ of Σσ (1 ≤ k ≤ r)."""
    reached = cumulative_energy(sigma) >= tau - SLACK
    return int(reached.int().argmax()) + 1 if bool(reached.any()) else len(sigma)


def thin(count: int, limit: int = POINTS) -> list[int]:
    """At most `limit` of the indices 0 … count-1, first and last among them, evenly spaced on a log scale."""
    if count <= limit:
        return list(range(count))
    return sorted({round(float(x)) - 1 for x in np.geomspace(1, count, limit)})


def curve(sigma: Float[Tensor, " r"], limit: int = POINTS) -> dict[str, list]:
    """A spectrum to draw: `index` (0-based), `sigma` and `cumulative` energy at these indices."""
    index = thin(len(sigma), limit)
    values, shares = sigma.tolist(), cumulative_energy(sigma).tolist()
    return {"index": index, "sigma": [values[i] for i in index], "cumulative": [shares[i] for i in index]}


@dataclass(frozen=True)
class Reference:
    """W0 of one layer and its full decomposition: what every later state of the layer is compared with."""

    layer: int
    weight: Float[Tensor, "d_out d_in"]
    spectrum: Spectrum

    @classmethod
    def of(cls, layer: int, weight: Float[Tensor, "d_out d_in"]) -> Reference:
        """Decompose `weight`; vectors are kept in its dtype (they were computed in float64)."""
        full = spectrum(weight)
        return cls(layer, weight, Spectrum(full.sigma, full.u.to(weight.dtype), full.vh.to(weight.dtype), full.rcond))

    def rank_at(self, tau: float) -> int:
        """k at τ: how many singular directions of W0 are dominant."""
        return dominant_rank(self.spectrum.sigma, tau)
