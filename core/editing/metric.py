"""What a change of the weight costs: symmetric positive definite A, known by its inverse. All in float64.

A prior makes the metric of a layer (λ times its model of C0, and the keys of earlier rounds); methods solve with it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float

from core.editing.failure import EditFailure
from core.editing.solve import factor
from core.lazy import torch


class Metric(ABC):
    """A [d_in, d_in] of one layer; the cost of Δ is tr(Δ A Δᵀ)."""

    layer: int

    @abstractmethod
    def solve(self, right: Float[torch.Tensor, "d_in b"]) -> Float[torch.Tensor, "d_in b"]:
        """A⁻¹ B."""

    def solve_with_keys(self, keys: Float[torch.Tensor, "d_in b"]) -> Float[torch.Tensor, "d_in b"]:
        """(A + K Kᵀ)⁻¹ K = A⁻¹K (I + Kᵀ A⁻¹ K)⁻¹ (Woodbury)."""
        inner = self.solve(keys)
        return torch.cholesky_solve(inner.T, one_plus(keys.T @ inner, self.layer)).T


class Dense(Metric):
    """A by its Cholesky factor: d_in² · b work for a solve, d_in³ / 3 once."""

    def __init__(self, matrix: Float[torch.Tensor, "d_in d_in"], layer: int):
        self.layer = layer
        self.lower = factor(matrix, layer)

    def solve(self, right: Float[torch.Tensor, "d_in b"]) -> Float[torch.Tensor, "d_in b"]:
        return torch.cholesky_solve(right, self.lower)


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
        inner = torch.cholesky_solve(self.directions.T @ scaled, self.lower)
        return (scaled - self.inverse * (self.directions @ inner)) / self.weight


class WithKeys(Metric):
    """A + K Kᵀ for a metric A: `carried` is G = A⁻¹ K [d_in, n], which the caller may keep between rounds."""

    def __init__(
        self, base: Metric, keys: Float[torch.Tensor, "d_in n"], carried: Float[torch.Tensor, "d_in n"] | None = None
    ):
        self.layer, self.base = base.layer, base
        self.carried = base.solve(keys) if carried is None else carried
        self.lower = one_plus(keys.T @ self.carried, base.layer)

    def solve(self, right: Float[torch.Tensor, "d_in b"]) -> Float[torch.Tensor, "d_in b"]:
        return self.base.solve(right) - self.carried @ torch.cholesky_solve(self.carried.T @ right, self.lower)


class Restricted(Metric):
    """The metric on inputs orthogonal to V: it solves by Q (Qᵀ A Q)⁻¹ Qᵀ for an orthonormal basis Q of V's complement,
    as A⁻¹ − A⁻¹V (Vᵀ A⁻¹ V)⁻¹ Vᵀ A⁻¹."""

    def __init__(self, base: Metric, blocked: Float[torch.Tensor, "d_in k"]):
        self.layer, self.base, self.blocked = base.layer, base, blocked
        self.carried = base.solve(blocked)
        gram = blocked.T @ self.carried
        self.lower = factor((gram + gram.T) / 2, base.layer)

    def solve(self, right: Float[torch.Tensor, "d_in b"]) -> Float[torch.Tensor, "d_in b"]:
        found = self.base.solve(right) - self.carried @ torch.cholesky_solve(self.carried.T @ right, self.lower)
        return found - self.blocked @ (self.blocked.T @ found)  # what rounding leaves


def one_plus(gram: Float[torch.Tensor, "n n"], layer: int) -> Float[torch.Tensor, "n n"]:
    """The Cholesky factor of I + G for a positive semidefinite G."""
    matrix = (gram + gram.T) / 2
    matrix.diagonal().add_(1)
    lower, info = torch.linalg.cholesky_ex(matrix)
    if int(info) != 0 or not bool(torch.isfinite(lower).all()):
        raise EditFailure(
            f"Layer {layer}: its keys cannot be weighed against its statistics (they are too large, or not finite)."
            " Set a ridge, e.g. 0.01, or a larger lambda, or use float32."
        )
    return lower
