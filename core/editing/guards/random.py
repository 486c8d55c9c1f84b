"""A control: a random subspace of the same size, protected in the same way as REVIVE protects the dominant one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from core import ceiling
from core.editing.guards import ORIGINAL, WITHIN, Guard
from core.editing.linalg.dominance import Dominance
from core.editing.linalg.lowrank import LowRank
from core.editing.linalg.subspace import Basis, Svd
from core.editing.settings.parameters import param
from core.lazy import torch


@dataclass(frozen=True, kw_only=True)
class Random(Guard[Basis]):
    """(I − UUᵀ) ΔW (I − VVᵀ) for random orthonormal U and V with as many columns as REVIVE would protect at τ.

    Drawn once per layer from the seed, for the whole run.
    """

    title: ClassVar[str] = "random"
    paper: ClassVar[str] = ""
    when = WITHIN  # as REVIVE, whose control it is
    inside: ClassVar[bool] = False

    tau: float = param(
        0.1, symbol="τ", gt=0, lt=1, in_label=True, help="The τ at which REVIVE protects the same number."
    )
    by: str = param("energy", choices=("energy", "count"), help="As in REVIVE.")
    seed: int = param(0, ge=0, le=ceiling.SEED, help="Seed of the random directions.")

    @property
    def needs(self) -> str:
        return ORIGINAL

    @property
    def dominance(self) -> Dominance:
        return Dominance(self.tau, self.by)

    def prepare(self, source: Svd, layer: int) -> Basis:
        """Random orthonormal columns, as many as the dominant subspace has."""
        k = self.dominance.rank(source.sigma)
        generator = torch.Generator().manual_seed(1_000_003 * self.seed + layer)
        sides = [
            torch.linalg.qr(torch.randn(size, k, generator=generator, dtype=torch.float64))[0].to(source.u.device)
            for size in (source.u.shape[0], source.vh.shape[1])
        ]
        return Basis(*sides)

    def apply(self, delta: LowRank, basis: Basis) -> LowRank:
        """The update without its parts in the random directions."""
        return delta.without(basis.outputs, basis.inputs)


GUARD = Random
