"""REVIVE: removes from updates what lies in the dominant singular subspace of the edited weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from core.editing.guards import CURRENT, ORIGINAL, WITHIN, Guard
from core.editing.linalg.dominance import COUNT, ENERGY, TAU, Dominance
from core.editing.linalg.lowrank import LowRank
from core.editing.linalg.subspace import Basis, Svd
from core.editing.settings.parameters import param


@dataclass(frozen=True, kw_only=True)
class Revive(Guard[Basis]):
    """ΔW_safe = (I − U_k U_kᵀ) ΔW (I − V_k V_kᵀ): the double sum over i, j > k of Eq. 6.

    U_k and V_k are the dominant singular vectors on both sides; k is the smallest number of σ with a share τ of Σσ. The
    top-k triplets remain exact singular triplets of the edited weight.
    """

    title: ClassVar[str] = "REVIVE"
    paper: ClassVar[str] = "arXiv 2601.11042"
    when = WITHIN
    inside: ClassVar[bool] = False

    tau: float = param(
        TAU,
        symbol="τ",
        gt=0,
        lt=1,
        in_label=True,
        help="Protected share of the weight: the share of Σσ in its dominant directions.",
    )
    basis: str = param(
        ORIGINAL,
        choices=(ORIGINAL, CURRENT),
        help="Directions of the unedited weight, decomposed once, or of the current weight, every round.",
    )
    by: str = param(
        ENERGY,
        choices=(ENERGY, COUNT),
        help="τ is a share of the sum of singular values (energy) or of their number (count).",
    )

    @property
    def needs(self) -> str:
        return self.basis

    @property
    def dominance(self) -> Dominance:
        return Dominance(self.tau, self.by)

    def nested(self, other: Guard[Any]) -> bool:
        """Of two guards with directions from W0, one protects all directions of the other."""
        return isinstance(other, Revive) and self.basis == other.basis == ORIGINAL

    def prepare(self, source: Svd, layer: int) -> Basis:
        """The protected directions."""
        return self.dominance.basis(source)

    def apply(self, delta: LowRank, basis: Basis) -> LowRank:
        """The update without its parts in the protected directions."""
        return delta.without(basis.outputs, basis.inputs)


GUARD = Revive
