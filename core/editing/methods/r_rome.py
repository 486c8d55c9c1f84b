"""R-ROME: ROME with the same key everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float

from core.editing.layer_context import LayerContext
from core.editing.linalg.lowrank import LowRank
from core.editing.methods.rome import Rome
from core.lazy import torch


@dataclass(frozen=True, kw_only=True)
class RRome(Rome):
    """Δ = (v* − W k̄) uᵀ / (uᵀ k̄), u = C0⁻¹ k̄, with the key k̄ averaged over contexts throughout (Gupta et al. 2024).

    So (W + Δ) k̄ = v*, and uᵀk̄ > 0 always. v* and W k̄ as in ROME's repaired code: v* is the bare prompt's FFN output
    + δ, W k̄ the output averaged over the same contexts as the key.
    """

    title: ClassVar[str] = "R-ROME"
    paper: ClassVar[str] = "arXiv 2403.07175"
    mean_states: ClassVar[bool] = True

    def update(
        self,
        keys: Float[torch.Tensor, "d_in 1"],
        residual: Float[torch.Tensor, "d_out 1"],
        context: LayerContext,
    ) -> LowRank:
        """Δ of rank one."""
        along = self.direction(keys, context)
        return LowRank(residual, along / (along * keys).sum(0))


METHOD = RRome
