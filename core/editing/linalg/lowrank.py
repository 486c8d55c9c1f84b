"""A low-rank matrix that is multiplied, projected and compared without being formed: the type of an edit's ΔW."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float

from core.lazy import torch


@dataclass(frozen=True)
class LowRank:
    """Δ = left · rightᵀ: r · (d_out + d_in) numbers instead of d_out · d_in."""

    left: Float[torch.Tensor, "d_out r"]
    right: Float[torch.Tensor, "d_in r"]

    @classmethod
    def full(cls, matrix: Float[torch.Tensor, "d_out d_in"]) -> LowRank:
        """Any matrix as I · matrix, for updates that are not of low rank. Exact: products with 0 and 1 do not round."""
        return cls(torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device), matrix.T.contiguous())

    @property
    def columns(self) -> int:
        """r: at least the rank."""
        return self.left.shape[1]

    def dense(self) -> Float[torch.Tensor, "d_out d_in"]:
        """Δ itself."""
        return self.left @ self.right.T

    def to(self, dtype: torch.dtype) -> LowRank:
        """The same factors in another floating-point type, in the memory layout that the ledger returns: the order
        of numbers in memory may change the last bit of a product."""
        return LowRank(self.left.to(dtype).contiguous(), self.right.to(dtype).contiguous())

    def inner(self, other: LowRank) -> float:
        """⟨Δ, Δ'⟩ = tr(ΔᵀΔ'), in float64."""
        lefts = self.left.double().T @ other.left.double()
        rights = self.right.double().T @ other.right.double()
        return float((lefts * rights).sum())

    def norm(self) -> float:
        """‖Δ‖_F."""
        return max(self.inner(self), 0.0) ** 0.5

    def scaled(self, factor: float) -> LowRank:
        """factor · Δ."""
        return LowRank(self.left * factor, self.right)

    def plus(self, other: LowRank) -> LowRank:
        """Δ + Δ', with the columns of both."""
        return LowRank(torch.cat([self.left, other.left], 1), torch.cat([self.right, other.right], 1))

    def without(self, outputs: Float[torch.Tensor, "d_out k"], inputs: Float[torch.Tensor, "d_in k2"]) -> LowRank:
        """(I − UUᵀ) Δ (I − VVᵀ) for orthonormal columns U of `outputs` and V of `inputs`: two skinny products."""
        u, v = outputs.to(self.left.dtype), inputs.to(self.right.dtype)
        return LowRank(self.left - u @ (u.T @ self.left), self.right - v @ (v.T @ self.right))


def added(weight: Float[torch.Tensor, "d_out d_in"], delta: LowRank) -> Float[torch.Tensor, "d_out d_in"]:
    """W + Δ as a new matrix. All updates are added by this function, so that a replay gives the same bits."""
    return torch.addmm(weight, delta.left, delta.right.T)


def narrow(delta: LowRank) -> LowRank:
    """The same Δ with at most as many columns as it has outputs."""
    return LowRank.full(delta.dense()) if delta.columns > delta.left.shape[0] else delta


def total(deltas: Sequence[LowRank]) -> LowRank:
    """The sum of updates, with all their columns."""
    return LowRank(torch.cat([d.left for d in deltas], 1), torch.cat([d.right for d in deltas], 1))


def factored(matrix: Float[torch.Tensor, "d_out d_in"], dtype: torch.dtype) -> LowRank:
    """A matrix as the fewest factors that preserve the precision of `dtype`; as I · matrix if there are too many."""
    u, sigma, vh = torch.linalg.svd(matrix.double(), full_matrices=False)
    rank = int((sigma > torch.finfo(dtype).eps * sigma[0]).sum())
    if rank * sum(matrix.shape) >= matrix.numel():
        return LowRank.full(matrix)
    return LowRank(u[:, :rank] * sigma[:rank], vh[:rank].T.contiguous())
