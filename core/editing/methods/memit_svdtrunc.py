"""A surrogate of our own for methods that truncate parameter changes: MEMIT with the leading part of each update."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float

from core.editing.layer_context import LayerContext
from core.editing.linalg.lowrank import LowRank
from core.editing.methods.memit import Memit
from core.editing.settings.parameters import param
from core.lazy import torch


@dataclass(frozen=True, kw_only=True)
class MemitSvdTrunc(Memit):
    """MEMIT's Δ of each layer and round, truncated to its fewest singular directions with a share γ of its energy.

    A control, not a published method: it shows the effect of keeping the dominant components of an update alone.
    """

    title: ClassVar[str] = "MEMIT, SVD-truncated"
    paper: ClassVar[str] = ""

    energy: float = param(0.9, symbol="γ", gt=0, le=1, in_label=True, help="Share of the update's energy that is kept.")
    energy_of: str = param(
        "squares",
        choices=("squares", "values"),
        help="Energy: the sum of squared singular values, or of singular values.",
    )

    def update(
        self,
        keys: Float[torch.Tensor, "d_in b"],
        residual: Float[torch.Tensor, "d_out b"],
        context: LayerContext,
    ) -> LowRank:
        """The leading part of MEMIT's Δ."""
        return truncated(super().update(keys, residual, context), self.energy, self.energy_of == "squares")


def truncated(delta: LowRank, share: float, squares: bool = True) -> LowRank:
    """The fewest leading singular triplets of Δ that hold `share` of Σσ² (or of Σσ), from its factors."""
    (outputs, left), (inputs, right) = (torch.linalg.qr(side) for side in (delta.left, delta.right))
    u, sigma, vh = torch.linalg.svd(left @ right.T, full_matrices=False)
    energy = sigma**2 if squares else sigma
    reached = energy.cumsum(0) / energy.sum().clamp(min=torch.finfo(sigma.dtype).tiny)
    rank = min(int((reached < share).sum()) + 1, len(sigma))
    return LowRank(outputs @ (u[:, :rank] * sigma[:rank]), inputs @ vh[:rank].T)


METHOD = MemitSvdTrunc
