"""REVIVE: updates keep out of the dominant singular subspace of the weight that they change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from core.editing.linalg.lowrank import LowRank
from core.editing.linalg.subspace import Basis, Svd, dominant
from core.editing.settings.parameters import param


@dataclass(frozen=True, kw_only=True)
class Revive:
    """ΔW_safe = (I − U_k U_kᵀ) ΔW (I − V_k V_kᵀ): the double sum over i, j > k of Eq. 6.

    U_k and V_k are the dominant singular vectors on both sides, k the fewest whose σ make up a share τ of Σσ. The
    top-k triplets stay exact singular triplets of the edited weight.
    """

    title: ClassVar[str] = "REVIVE"
    paper: ClassVar[str] = "arXiv 2601.11042"
    when: ClassVar[str] = "within"
    inside: ClassVar[bool] = False

    tau: float = param(
        0.1,
        symbol="τ",
        gt=0,
        lt=1,
        in_label=True,
        help="How much of the weight is protected: the share of Σσ in its dominant directions.",
    )
    basis: str = param(
        "original",
        choices=("original", "current"),
        help="Whose directions: the unedited weight's, decomposed once, or the current weight's, every round.",
    )
    by: str = param(
        "energy",
        choices=("energy", "count"),
        help="τ is a share of the sum of singular values (energy) or of their number (count).",
    )

    @property
    def needs(self) -> str | None:
        """Whose singular vectors `prepare` is given."""
        return self.basis

    def prepare(self, svd: Svd | None, layer: int) -> Basis:
        """The protected directions."""
        return dominant(svd, self.tau, self.by)

    def apply(self, delta: LowRank, basis: Basis | None) -> LowRank:
        """The update without its parts in the protected directions."""
        return delta.without(basis.outputs, basis.inputs)


GUARD = Revive
