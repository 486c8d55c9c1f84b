"""The dominant singular directions of a weight matrix."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float

from core.lazy import torch

SLACK = 1e-9  # a cumulative share this close to τ has reached it


@dataclass(frozen=True)
class Svd:
    """W = u · diag(sigma) · vhᵀ..., thin: the singular values descend. float64."""

    u: Float[torch.Tensor, "d_out n"]
    sigma: Float[torch.Tensor, " n"]
    vh: Float[torch.Tensor, "n d_in"]


@dataclass(frozen=True)
class Basis:
    """Orthonormal columns on the output side and on the input side."""

    outputs: Float[torch.Tensor, "d_out k"]
    inputs: Float[torch.Tensor, "d_in k"]


@dataclass(frozen=True)
class Projection:
    """An orthogonal projection P [d, d]: onto the span of orthonormal columns, or onto what is orthogonal to them."""

    columns: Float[torch.Tensor, "d k"]
    onto: bool

    @property
    def rank(self) -> int:
        """The dimension that is left."""
        d, k = self.columns.shape
        return k if self.onto else d - k

    def apply(self, right: Float[torch.Tensor, "d b"]) -> Float[torch.Tensor, "d b"]:
        """P B."""
        part = self.columns @ (self.columns.T @ right)
        return part if self.onto else right - part


def together(*columns: Float[torch.Tensor, "d _"]) -> Float[torch.Tensor, "d k"]:
    """Orthonormal columns that span what all of the given orthonormal columns span."""
    if len(columns) == 1:
        return columns[0]
    u, sigma, _ = torch.linalg.svd(torch.cat(columns, 1), full_matrices=False)
    return u[:, sigma > 1e-8].contiguous()


def svd(weight: Float[torch.Tensor, "d_out d_in"]) -> Svd:
    """The thin singular value decomposition, in float64."""
    return Svd(*torch.linalg.svd(weight.double(), full_matrices=False))


def rank_by_energy(sigma: Float[torch.Tensor, " n"], tau: float) -> int:
    """The smallest k with σ_1 + … + σ_k ≥ τ · Σσ. Energy is the sum of σ, not of σ² (REVIVE, §3)."""
    share = sigma.double().cumsum(0) / sigma.double().sum()
    return min(int((share < tau - SLACK).sum()) + 1, len(sigma))


def rank_by_count(sigma: Float[torch.Tensor, " n"], tau: float) -> int:
    """The share τ of the number of singular values, at least one (REVIVE, App. E.6)."""
    return min(max(1, round(tau * len(sigma))), len(sigma))


RANKS = {"energy": rank_by_energy, "count": rank_by_count}  # guards, panels and events take k from here alone


def dominant(decomposition: Svd, tau: float, by: str = "energy") -> Basis:
    """The dominant k left and right singular vectors, k by `by` ("energy" or "count")."""
    k = RANKS[by](decomposition.sigma, tau)
    return Basis(decomposition.u[:, :k], decomposition.vh[:k].T)
