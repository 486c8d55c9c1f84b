"""SPHERE: takes from updates a part of what lies along the main directions of the current weight's rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float

from core.editing.guards import AFTER, WEIGHT, WITHIN, Guard
from core.editing.linalg.dominance import SLACK
from core.editing.linalg.lowrank import LowRank
from core.editing.settings.parameters import param
from core.lazy import torch

TINY = 1e-8  # the smallest norm of a row that is divided by, so that rows of zeros do no harm


@dataclass(frozen=True, kw_only=True)
class Sphere(Guard["torch.Tensor"]):
    """ΔW (I − α U Uᵀ): U are the main eigenvectors of ŴᵀŴ, Ŵ the current weight with rows of norm 1.

    As in the code of Liu et al. 2026: U has one column more than the largest number of leading eigenvalues whose sum
    is at most β of all. Computed for each update from the thin singular value decomposition of Ŵ, whose squared
    singular values they are. Unlike REVIVE it acts on the inputs alone, softly, with the energy of σ², and on
    directions that move with the edits. Experimental: it is new, and the input directions that AlphaEdit protects are
    not protected any more behind it (P ΔW lies in the null space, ΔW (I − α U Uᵀ) in general does not).
    """

    title: ClassVar[str] = "SPHERE"
    paper: ClassVar[str] = "arXiv 2510.01172"
    inside: ClassVar[bool] = False

    alpha: float = param(
        0.8,
        symbol="α",
        ge=0,
        le=1,
        in_label=True,
        offers=((0.5, "0.5, with AlphaEdit"), (0.8, "0.8, with MEMIT, RECT and PRUNE")),
        help="The share that is taken of what lies along the main directions: .8 with MEMIT, RECT and PRUNE in the"
        " authors' code, .5 with AlphaEdit.",
    )
    beta: float = param(
        0.5, symbol="β", ge=0, le=1, help="How much of the rows' energy Σσ² the main directions hold, about."
    )
    when: str = param(
        AFTER,
        choices=(AFTER, WITHIN),
        help="After all layers are solved, as the authors run MEMIT; or within each layer, as they run AlphaEdit, so"
        " that the next ones make up for what was taken.",
    )

    @property
    def needs(self) -> str:
        return WEIGHT

    def prepare(self, source: Float[torch.Tensor, "d_out d_in"], layer: int) -> Float[torch.Tensor, "d_in k"]:
        """The main directions of the current weight's rows, orthonormal columns; float64."""
        weight = source.double()
        rows = weight / weight.norm(dim=1, keepdim=True).clamp(min=TINY)
        _, sigma, vh = torch.linalg.svd(rows, full_matrices=False)
        energy = sigma.square().cumsum(0)
        reached = int((energy <= (self.beta + SLACK) * energy[-1]).sum())
        return vh[: min(reached + 1, len(sigma))].T

    def apply(self, delta: LowRank, basis: Float[torch.Tensor, "d_in k"]) -> LowRank:
        """The update with α less along the main directions. Its rank does not grow."""
        u = basis.to(delta.right.dtype)
        return LowRank(delta.left, delta.right - self.alpha * (u @ (u.T @ delta.right)))


GUARD = Sphere
