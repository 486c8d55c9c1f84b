"""Incremental Woodbury: A + K Kᵀ from a factor of A, for keys K that are added block by block.

G = A⁻¹ K and the Cholesky factor of I + Kᵀ G are stored. New keys append columns to G and a border to the factor.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float

from core.editing.linalg.metric import Metric
from core.editing.linalg.solve import by_factor, one_plus
from core.lazy import torch

CHUNK = 100  # keys that are added at a time


class Buffers:
    """Buffers with space for more keys. `filled` is the number of permanent ones."""

    def __init__(self, size: int, like: Float[torch.Tensor, "d_in _"]):
        self.filled = 0
        self.solved = like.new_zeros(size, like.shape[0])
        self.lower = like.new_zeros(size, size)


class IncrementalWoodbury(Metric):
    """A + K Kᵀ for the first `count` keys in the buffers: `solved` is G = A⁻¹ K [d_in, count].

    Several metrics may share the buffers: permanent keys stay, the rest is valid until the next `plus`.
    """

    def __init__(self, base: Metric, buffers: Buffers | None = None, count: int = 0):
        self.layer, self.base, self.count = base.layer, base, count
        self._buffers = buffers

    @property
    def notes(self) -> Sequence[str]:
        return self.base.notes

    @property
    def buffers(self) -> Buffers:
        """The buffers with its keys; none before the first key."""
        if self._buffers is None:
            raise IndexError("no keys were taken up yet")
        return self._buffers

    @property
    def solved(self) -> Float[torch.Tensor, "d_in count"]:
        return self.buffers.solved[: self.count].T

    @property
    def lower(self) -> Float[torch.Tensor, "count count"]:
        return self.buffers.lower[: self.count, : self.count]

    def plus(
        self, keys: Float[torch.Tensor, "d_in n"], for_good: bool = True, of_facts: bool = False
    ) -> IncrementalWoodbury:
        """A + K Kᵀ + k kᵀ: d_in · count · n work in addition to A⁻¹ k. An `EditFailure` about keys `of_facts` names
        the key."""
        new = keys.shape[1]
        if not new:
            return self
        solved, before, after = self.base.solve(keys), self.count, self.count + new
        buffers = self._with_space(after if for_good else before, keys)
        corner = keys.T @ solved
        if before:
            side = torch.linalg.solve_triangular(self.lower, self.solved.T @ keys, upper=False)
            corner -= side.T @ side
            buffers.lower[before:after, :before] = side.T
        buffers.lower[before:after, before:after] = one_plus(corner, self.layer, of_facts)
        buffers.solved[before:after] = solved.T
        if for_good:
            buffers.filled = after
        return IncrementalWoodbury(self.base, buffers, after)

    def solve(self, right: Float[torch.Tensor, "d_in b"]) -> Float[torch.Tensor, "d_in b"]:
        solution = self.base.solve(right)
        if not self.count:
            return solution
        return solution - self.solved @ by_factor(self.lower, self.solved.T @ right)

    def newest(self, count: int) -> tuple[Float[torch.Tensor, "d_in b"], Float[torch.Tensor, "b b"]]:
        """(B⁻¹ k of the last `count` keys k, where B is the metric without them; the Cholesky factor of I + kᵀ B⁻¹
        k). Both are read from the stored factors, without another solve by A."""
        before, solved, lower = self.count - count, self.solved, self.lower
        columns, corner = solved[:, before:], lower[before:, before:]
        if before:
            side = torch.linalg.solve_triangular(lower[:before, :before].T, lower[before:, :before].T, upper=True)
            columns = columns - solved[:, :before] @ side
        return columns, corner

    def _with_space(self, count: int, like: Float[torch.Tensor, "d_in _"]) -> Buffers:
        """Buffers for `count` keys and some temporary ones, with this metric's keys in them: its own buffers, unless
        they are full or another metric has added to them.

        The size depends only on the number of keys, so that all sums are computed in the same order.
        """
        buffers, size = self._buffers, 4 * CHUNK
        while size < count + CHUNK:
            size *= 2
        if buffers is None or buffers.filled != self.count or len(buffers.lower) != size:
            buffers = Buffers(size, like)
            if self.count:
                buffers.solved[: self.count], buffers.lower[: self.count, : self.count] = self.solved.T, self.lower
                buffers.filled = self.count
        return buffers
