"""The cost of a change of the weight: a symmetric positive definite A, applied by its inverse. All in float64.

A prior builds the metric of a layer (λ times its model of C0, and the keys of earlier rounds); methods solve with it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property

from jaxtyping import Float

from core.editing.linalg.solve import by_factor, factor, one_plus
from core.lazy import torch


class Metric(ABC):
    """A [d_in, d_in] of one layer; the cost of Δ is tr(Δ A Δᵀ)."""

    layer: int

    @property
    def notes(self) -> Sequence[str]:
        """Remarks on its factorisation."""
        return ()

    @abstractmethod
    def solve(self, right: Float[torch.Tensor, "d_in b"]) -> Float[torch.Tensor, "d_in b"]:
        """A⁻¹ B."""

    def solve_keys(self, keys: Float[torch.Tensor, "d_in b"]) -> Float[torch.Tensor, "d_in b"]:
        """A⁻¹ K for the keys of the round."""
        return self.solve(keys)

    def solve_with_keys(self, keys: Float[torch.Tensor, "d_in b"]) -> Float[torch.Tensor, "d_in b"]:
        """(A + K Kᵀ)⁻¹ K = A⁻¹K (I + Kᵀ A⁻¹ K)⁻¹ (Woodbury), for the keys of the round."""
        inner = self.solve_keys(keys)
        return by_factor(one_plus(keys.T @ inner, self.layer, of_facts=True), inner.T).T


class Dense(Metric):
    """A by its Cholesky factor: d_in² · b work for a solve, d_in³ / 3 once. `notes` report a fallback."""

    def __init__(self, matrix: Float[torch.Tensor, "d_in d_in"], layer: int):
        self.layer = layer
        self._notes: list[str] = []
        self.lower = factor(matrix, layer, self._notes)

    @property
    def notes(self) -> Sequence[str]:
        return self._notes

    def solve(self, right: Float[torch.Tensor, "d_in b"]) -> Float[torch.Tensor, "d_in b"]:
        return by_factor(self.lower, right)


class Summed(Metric):
    """A that grows by whole blocks of keys, A + K Kᵀ: the matrix, and its factor once it is needed."""

    def __init__(self, matrix: Float[torch.Tensor, "d_in d_in"], layer: int):
        self.matrix, self.layer = matrix, layer

    def plus(self, keys: Float[torch.Tensor, "d_in n"]) -> Summed:
        """A + K Kᵀ."""
        return Summed(torch.addmm(self.matrix, keys, keys.T), self.layer)

    @cached_property
    def whole(self) -> Dense:
        """A, factored."""
        return Dense(self.matrix, self.layer)

    @property
    def notes(self) -> Sequence[str]:
        return self.whole.notes

    def solve(self, right: Float[torch.Tensor, "d_in b"]) -> Float[torch.Tensor, "d_in b"]:
        return self.whole.solve(right)


class Scaled(Metric):
    """A = β I."""

    def __init__(self, beta: float, layer: int):
        self.beta, self.layer = beta, layer

    def solve(self, right: Float[torch.Tensor, "d_in b"]) -> Float[torch.Tensor, "d_in b"]:
        return right / self.beta


class LowRankPlusDiagonal(Metric):
    """A = λ (U Uᵀ + D) by Woodbury: d_in · r · b work for a solve, d_in · r² + r³ / 3 once (FastEdit, Eq. 8)."""

    def __init__(
        self,
        weight: float,
        directions: Float[torch.Tensor, "d_in r"],
        diagonal: Float[torch.Tensor, " d_in"],
        layer: int,
    ):
        self.layer, self.weight = layer, weight
        self.inverse = 1 / diagonal[:, None]
        self.directions = directions
        self.lower = one_plus(directions.T @ (self.inverse * directions), layer)

    def solve(self, right: Float[torch.Tensor, "d_in b"]) -> Float[torch.Tensor, "d_in b"]:
        scaled = self.inverse * right
        inner = by_factor(self.lower, self.directions.T @ scaled)
        return (scaled - self.inverse * (self.directions @ inner)) / self.weight


class Restricted(Metric):
    """The metric on inputs orthogonal to V: it solves by Q (Qᵀ A Q)⁻¹ Qᵀ for an orthonormal basis Q of V's complement,
    as A⁻¹ − A⁻¹V (Vᵀ A⁻¹ V)⁻¹ Vᵀ A⁻¹."""

    def __init__(self, base: Metric, blocked: Float[torch.Tensor, "d_in k"]):
        self.layer, self.base, self.blocked = base.layer, base, blocked
        self.solved = base.solve(blocked)
        gram = blocked.T @ self.solved
        self.lower = factor((gram + gram.T) / 2, base.layer)

    def solve(self, right: Float[torch.Tensor, "d_in b"]) -> Float[torch.Tensor, "d_in b"]:
        solution = self.base.solve(right) - self.solved @ by_factor(self.lower, self.solved.T @ right)
        return solution - self.blocked @ (self.blocked.T @ solution)  # removes rounding errors
