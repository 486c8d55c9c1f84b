"""Singular values of a weight matrix: their energy, the dominant rank at τ, and W0 as the reference.

Energy is the plain sum of singular values, E = Σσ_i (not of their squares), as REVIVE defines its threshold τ
(https://arxiv.org/abs/2601.11042, section 2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from core.editing.linalg.dominance import Dominance

POINTS = 96  # of a curve that is drawn
SQUARED = 1e5  # κ up to which a Gram matrix tells singular values well enough


@dataclass(frozen=True)
class Spectrum:
    """`weight = u @ diag(sigma) @ vh`: all r = min(d_out, d_in) singular values, and the first k singular vectors."""

    sigma: Float[Tensor, " r"]
    u: Float[Tensor, "d_out k"]
    vh: Float[Tensor, "k d_in"]
    tolerance: float  # of the numerical rank, relative to σ_1

    @property
    def numerical_rank(self) -> int:
        """How many σ are above `tolerance` · σ_1: smaller ones are round-off of the stored weight's type."""
        return int((self.sigma > self.tolerance * self.sigma[0]).sum())

    @property
    def rank(self) -> int:
        """How many σ are distinguishable from zero in float64."""
        return rank(self.sigma)

    @property
    def frobenius(self) -> float:
        return float(self.sigma.norm())

    @property
    def spectral(self) -> float:
        return float(self.sigma[0])

    @property
    def condition(self) -> float:
        """κ₂ = σ_1 / σ_r over all σ."""
        return condition(self.sigma)

    def condition_above(self, cutoff: float) -> float:
        """κ₂ over the σ above `cutoff` · σ_1 alone, however small the others are; NaN for a zero matrix."""
        counted = self.sigma[self.sigma > cutoff * self.sigma[0]]
        return float(counted[0] / counted[-1]) if len(counted) else math.nan


def rank(sigma: Float[Tensor, " r"]) -> int:
    """How many of the descending singular values exceed the round-off of their own decomposition, r · eps · σ_1."""
    return int((sigma > len(sigma) * torch.finfo(sigma.dtype).eps * sigma[0]).sum())


def condition(sigma: Float[Tensor, " r"]) -> float:
    """κ₂ = σ_1 / σ_r of all min(d_out, d_in) descending singular values; no σ is left out, however small.

    Infinite if σ_r is not larger than the round-off of the decomposition: the matrix is then numerically singular. NaN
    for a zero matrix.
    """
    if float(sigma[0]) == 0:
        return math.nan
    return float(sigma[0] / sigma[-1]) if rank(sigma) == len(sigma) else math.inf


def spectrum(weight: Float[Tensor, "d_out d_in"], vectors: int | None = None) -> Spectrum:
    """Singular values of `weight`, and its first `vectors` singular vectors (all of them by default), in float64.

    A float32 matrix goes through the eigenvectors of its smaller Gram matrix, a quarter of the time of an SVD. Squaring
    costs half of the digits: a relative error of 1e-16·(σ_1/σ_i)². So this is taken for matrices of κ up to `SQUARED`
    (1e-6 there); others, such as one whose edits explode, get what a float64 matrix gets: a QR of the longer side and
    the SVD of the square factor, whose error is 1e-16·σ_1/σ_i.

    `tolerance` is that of the numerical rank of a matrix stored in the weight's type, max(d_out, d_in) · eps(type).
    Nothing else depends on it.
    """
    short = min(weight.shape)
    tolerance = max(weight.shape) * torch.finfo(weight.dtype).eps
    k = short if vectors is None else min(vectors, short)
    wide = weight.double() if weight.shape[0] == short else weight.double().T
    sigma, near, far = _from_gram(wide, k) if weight.dtype != torch.float64 else _from_factors(wide, k)
    if weight.dtype != torch.float64 and not float(sigma[-1]) * SQUARED > float(sigma[0]):
        sigma, near, far = _from_factors(wide, k)
    u, vh = (near, far.T) if weight.shape[0] == short else (far, near.T)
    return Spectrum(sigma, u, vh, tolerance)


def _from_gram(wide: Float[Tensor, "r n"], k: int) -> tuple[Tensor, Tensor, Tensor]:
    """(σ [r], the first k left [r, k] and right [n, k] singular vectors), by the eigenvectors of W Wᵀ."""
    values, vectors = torch.linalg.eigh(wide @ wide.T)
    sigma = values.flip(0).clamp(min=0).sqrt()
    near = vectors.flip(1)[:, :k]
    return sigma, near, (wide.T @ near) / sigma[:k].clamp(min=torch.finfo(torch.float64).tiny)


def _from_factors(wide: Float[Tensor, "r n"], k: int) -> tuple[Tensor, Tensor, Tensor]:
    """The same by Wᵀ = Q R and the SVD of R, which squares nothing. Both sides are orthonormal, also where σ is 0."""
    outer, inner = torch.linalg.qr(wide.T)
    left, sigma, right = torch.linalg.svd(inner)
    return sigma, right.T[:, :k], outer @ left[:, :k]


def cumulative_energy(sigma: Float[Tensor, " r"]) -> Float[Tensor, " r"]:
    """Share of Σσ that the first 1, 2, … r singular values hold (the last entry is 1)."""
    total = sigma.double().sum()
    return sigma.double().cumsum(0) / total.clamp(min=torch.finfo(torch.float64).tiny)


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
    """W0 of one layer and its full decomposition, with which every later state of the layer is compared."""

    layer: int
    weight: Float[Tensor, "d_out d_in"]
    spectrum: Spectrum

    @classmethod
    def of(cls, layer: int, weight: Float[Tensor, "d_out d_in"]) -> Reference:
        """Decompose `weight`; vectors are stored in its dtype (they were computed in float64)."""
        full = spectrum(weight)
        return cls(layer, weight, replace(full, u=full.u.to(weight.dtype), vh=full.vh.to(weight.dtype)))

    def rank_at(self, tau: float, by: str = "energy") -> int:
        """k at τ: how many singular directions of W0 are dominant."""
        return Dominance(tau, by).rank(self.spectrum.sigma)
