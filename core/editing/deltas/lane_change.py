"""A lane's change of the weights as low-rank factors: summed over rounds, compressed, truncated, compared; in float64.

W_t − W_0 as stored in memory has full rank, since every round rounds W_t once more. The ledger has the updates before
that rounding, so the change is computed from them: exact, and of as low a rank as the edits.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from core.editing.lane.state import LayerUpdates
from core.editing.linalg.lowrank import LowRank, total
from core.editing.linalg.subspace import Svd, svd


class Sum:
    """Δ_1 + … + Δ_n of one layer: factors side by side, or one matrix once they have too many columns."""

    def __init__(self) -> None:
        self._deltas: list[LowRank] = []
        self._columns = 0
        self._dense: Float[Tensor, "d_out d_in"] | None = None

    def add(self, delta: LowRank) -> None:
        """Add an update."""
        self._deltas.append(delta)
        self._columns += delta.columns
        if self._columns > min(len(delta.left), len(delta.right)):
            self._dense = self._matrix()
            self._deltas, self._columns = [], 0

    def factors(self) -> LowRank:
        """The sum, in float64: the added factors themselves, or I and the matrix."""
        if self._dense is None:
            return total(self._deltas).to(torch.float64)
        return LowRank.full(self._matrix())

    def _matrix(self) -> Float[Tensor, "d_out d_in"]:
        if self._dense is None:
            return total(self._deltas).to(torch.float64).dense()
        return self._dense + (total(self._deltas).to(torch.float64).dense() if self._deltas else 0.0)


def change(rounds: Iterable[LayerUpdates]) -> dict[int, LowRank]:
    """The change of a lane's weights after its rounds, given in order: W_t − W_0 = Δ_1 + … + Δ_t + C_t, per layer."""
    sums: dict[int, Sum] = {}
    corrections: dict[int, LowRank | None] = {}
    for round_ in rounds:
        for layer, delta in round_.updates.items():
            sums.setdefault(layer, Sum()).add(delta)
            corrections[layer] = round_.corrections.get(layer)
    for layer, correction in corrections.items():
        if correction is not None:
            sums[layer].add(correction)
    return {layer: sums[layer].factors() for layer in sorted(sums)}


def decomposed(delta: LowRank) -> Svd:
    """The thin singular value decomposition of Δ = L Rᵀ.

    It decomposes the small matrix between the orthonormal bases of L and R, so that Δ is not formed; or Δ itself if L
    and R have as many columns as Δ has rows or columns.
    """
    left, right = delta.left.double(), delta.right.double()
    if delta.columns >= min(len(left), len(right)):
        return svd(left @ right.T)
    outputs, inner_left = torch.linalg.qr(left)
    inputs, inner_right = torch.linalg.qr(right)
    inner = svd(inner_left @ inner_right.T)
    return Svd(outputs @ inner.u, inner.sigma, inner.vh @ inputs.T)


def balanced(svd: Svd, rank: int | None = None) -> LowRank:
    """U√Σ and V√Σ of the first `rank` directions (default: all). Factors of similar size lose least in narrow types.

    Rank 0 gives one column of zeros: an empty matrix is not a valid adapter.
    """
    if rank == 0:
        return LowRank(svd.u.new_zeros(len(svd.u), 1), svd.vh.new_zeros(svd.vh.shape[1], 1))
    root = svd.sigma[:rank].sqrt()
    return LowRank((svd.u[:, :rank] * root).contiguous(), (svd.vh[:rank].T * root).contiguous())


def numerical_rank(sigma: Float[Tensor, " n"], dtype: torch.dtype) -> int:
    """The number of descending singular values that a matrix in `dtype` can distinguish from zero: σ > ε σ_1."""
    return int((sigma > torch.finfo(dtype).eps * sigma[:1]).sum())


def rank_within(sigma: Float[Tensor, " n"], error: float) -> int:
    """The smallest r with ‖Δ − Δ_r‖_F ≤ error · ‖Δ‖_F, where Δ_r is the best approximation of rank r."""
    left_out = sigma.square().flip(0).cumsum(0).flip(0)  # by ranks 0, 1, …, n − 1
    return int((left_out > error**2 * left_out[:1]).sum())


def fewest(
    delta: LowRank, svd: Svd, dtype: torch.dtype, rank: int | None = None, error: float | None = None
) -> LowRank:
    """Δ in `dtype`, with the fewest columns that preserve that type's precision, or fewer on request.

    `svd` is Δ's decomposition; `rank` is the maximal number of columns, `error` the maximal relative error in Frobenius
    norm. If no column can be dropped, the factors stay unchanged: those of a ledger are not rounded again. One column
    of zeros if nothing is left.
    """
    least = numerical_rank(svd.sigma, dtype)
    if error is not None:
        least = min(least, rank_within(svd.sigma, error))
    if rank is not None:
        least = min(least, rank)
    if 0 < least == delta.columns and dtype in (torch.float32, torch.float64):
        return delta.to(dtype)
    return balanced(svd, least).to(dtype)


def distance(exact: Float[Tensor, "d_out d_in"], factors: LowRank) -> float:
    """‖exact − L Rᵀ‖_F / ‖exact‖_F; 0 if both are zero."""
    apart = torch.linalg.norm(exact.double() - factors.left.double() @ factors.right.double().T)
    norm = torch.linalg.norm(exact.double())
    return float(apart / norm) if norm > 0 else float(apart)
