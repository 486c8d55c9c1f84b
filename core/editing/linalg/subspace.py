"""Singular value decompositions, orthonormal bases and projections."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float

from core.lazy import torch


@dataclass(frozen=True)
class Svd:
    """W = u · diag(sigma) · vh, thin: the singular values descend. float64."""

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
    """An orthogonal projection P [d, d]: onto the span of orthonormal columns, or onto its orthogonal complement."""

    columns: Float[torch.Tensor, "d k"]
    onto: bool

    @property
    def rank(self) -> int:
        """The dimension of the image."""
        d, k = self.columns.shape
        return k if self.onto else d - k

    def apply(self, right: Float[torch.Tensor, "d b"]) -> Float[torch.Tensor, "d b"]:
        """P B."""
        part = self.columns @ (self.columns.T @ right)
        return part if self.onto else right - part


def joint_basis(*columns: Float[torch.Tensor, "d _"]) -> Float[torch.Tensor, "d k"]:
    """Orthonormal columns that span the sum of the spans of the given orthonormal columns."""
    if len(columns) == 1:
        return columns[0]
    u, sigma, _ = torch.linalg.svd(torch.cat(columns, 1), full_matrices=False)
    return u[:, sigma > 1e-8].contiguous()


def svd(weight: Float[torch.Tensor, "d_out d_in"]) -> Svd:
    """The thin singular value decomposition, in float64."""
    return Svd(*torch.linalg.svd(weight.double(), full_matrices=False))
