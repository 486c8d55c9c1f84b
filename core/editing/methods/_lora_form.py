"""The forms of LoRA's and AdaLoRA's ΔW."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.editing.linalg.lowrank import LowRank

SPREAD = 0.02  # the standard deviation of AdaLoRA's first P and Q
TINY = 1e-5  # is added to AdaLoRA's rank


@dataclass(frozen=True)
class Product:
    """ΔW = (α / r) B A with B [d_out, r] = 0 and A [r, d_in] uniform in ± 1/√d_in at first, as in peft."""

    rank: int
    alpha: float

    def start(self, d_out: int, d_in: int, random: torch.Generator) -> dict[str, Tensor]:
        """B = 0, so that ΔW = 0."""
        bound = d_in**-0.5
        a = (2 * torch.rand(self.rank, d_in, generator=random) - 1) * bound
        return {"a": a, "b": torch.zeros(d_out, self.rank)}

    def factors(self, params: Mapping[str, Tensor]) -> LowRank:
        """(α / r) B, and Aᵀ."""
        return LowRank(params["b"] * (self.alpha / self.rank), params["a"].T)

    def penalty(self, layers: Sequence[Mapping[str, Tensor]]) -> Tensor:
        """None."""
        return torch.zeros(())


@dataclass(frozen=True)
class Triplets:
    """ΔW = α / (r + 10⁻⁵) P diag(e) Q with e = 0 at first; P and Q are kept nearly orthonormal by a penalty."""

    rank: int
    alpha: float
    weight: float  # of the penalty

    def start(self, d_out: int, d_in: int, random: torch.Generator) -> dict[str, Tensor]:
        """e = 0, so that ΔW = 0."""
        p = SPREAD * torch.randn(d_out, self.rank, generator=random)
        q = SPREAD * torch.randn(self.rank, d_in, generator=random)
        return {"p": p, "e": torch.zeros(self.rank), "q": q}

    def factors(self, params: Mapping[str, Tensor]) -> LowRank:
        """α / (r + 10⁻⁵) P diag(e), and Qᵀ."""
        return LowRank(params["p"] * params["e"] * (self.alpha / (self.rank + TINY)), params["q"].T)

    def penalty(self, layers: Sequence[Mapping[str, Tensor]]) -> Tensor:
        """The weight times the mean over all P and Q of ‖Pᵀ P − I‖ and ‖Q Qᵀ − I‖ (Frobenius, not squared)."""
        apart = []
        for own in layers:
            eye = torch.eye(self.rank, dtype=own["p"].dtype, device=own["p"].device)
            apart += [(own["p"].T @ own["p"] - eye).norm(), (own["q"] @ own["q"].T - eye).norm()]
        return self.weight * torch.stack(apart).mean()
