"""k(τ): the number of dominant singular directions of a matrix. Guards, measures, events and the page all use this
module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from core.editing.linalg.subspace import Basis, Svd
from core.lazy import torch

ENERGY, COUNT = "energy", "count"
TAU = 0.1  # where nothing else is said: REVIVE's default, and what lanes without a τ are measured at
SLACK = 1e-9  # a cumulative share this close to τ has reached it


@dataclass(frozen=True)
class Dominance:
    """A share τ of the singular values of a matrix: of their sum (`by` "energy") or of their number ("count")."""

    tau: float = TAU
    by: str = ENERGY

    def rank(self, sigma: Float[torch.Tensor, " n"]) -> int:
        """k(τ) of descending singular values, from 1 to n."""
        return {ENERGY: rank_by_energy, COUNT: rank_by_count}[self.by](sigma, self.tau)

    def basis(self, decomposition: Svd) -> Basis:
        """The first k(τ) left and right singular vectors."""
        k = self.rank(decomposition.sigma)
        return Basis(decomposition.u[:, :k], decomposition.vh[:k].T)


def rank_by_energy(sigma: Float[torch.Tensor, " n"], tau: float) -> int:
    """The smallest k with σ_1 + … + σ_k ≥ τ · Σσ. Energy is the sum of σ, not of σ² (REVIVE, §3)."""
    share = sigma.double().cumsum(0) / sigma.double().sum()
    return min(int((share < tau - SLACK).sum()) + 1, len(sigma))


def rank_by_count(sigma: Float[torch.Tensor, " n"], tau: float) -> int:
    """The share τ of the number of singular values, at least one (REVIVE, App. E.6)."""
    return min(max(1, round(tau * len(sigma))), len(sigma))


def of_recorded(recipe: Mapping[str, Any]) -> Dominance | None:
    """The τ of a lane as a run recorded it (`Recipe.as_dict`): that of its first guard with a τ."""
    for guard in recipe.get("guards") or ():
        if guard.get("tau") is not None:
            return Dominance(guard["tau"], guard.get("by") or ENERGY)
    return None
