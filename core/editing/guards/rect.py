"""RECT: keeps only those entries of an update that change their weight the most, relatively."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float

from core import ceiling
from core.editing.guards import AFTER, WEIGHT, WITHIN, Guard
from core.editing.linalg.lowrank import LowRank
from core.editing.settings.parameters import param
from core.lazy import torch


@dataclass(frozen=True, kw_only=True)
class Rect(Guard["torch.Tensor"]):
    """Keeps the share of entries with the largest |Δ_ij| / (|W_ij| + ε), W the current weight; the others become 0.

    Gu et al. 2024 sweep shares of 80 to 20 % and their code keeps 20 %; AlphaEdit's comparison keeps 40 %, as later
    ones do. Both solve all layers as without a guard and filter afterwards. The result is not of low rank.
    """

    title: ClassVar[str] = "RECT"
    paper: ClassVar[str] = "arXiv 2401.04700"
    inside: ClassVar[bool] = False

    keep: float = param(0.4, symbol="k", gt=0, le=1, in_label=True, help="Share of entries that are kept.")
    epsilon: float = param(1e-8, symbol="ε", gt=0, le=ceiling.RATIO, help="Added to |W|, to avoid division by zero.")
    when: str = param(
        AFTER,
        choices=(AFTER, WITHIN),
        before=WITHIN,
        help="After all layers are solved, as in both authors' codes; or within each layer, so that the"
        " next ones compensate for what was removed.",
    )

    @property
    def needs(self) -> str:
        return WEIGHT

    def prepare(self, source: Float[torch.Tensor, "d_out d_in"], layer: int) -> Float[torch.Tensor, "d_out d_in"]:
        """The current weight."""
        return source

    def apply(self, delta: LowRank, basis: Float[torch.Tensor, "d_out d_in"]) -> LowRank:
        """The sparse update. Entries that equal the smallest kept one are kept too."""
        change = delta.dense()
        relative = change.abs() / (basis.to(change.dtype).abs() + self.epsilon)
        stay = max(1, round(self.keep * change.numel()))
        least = relative.flatten().kthvalue(change.numel() - stay + 1).values
        return LowRank.full(torch.where(relative >= least, change, 0.0))


GUARD = Rect
