"""PRUNE: the accumulated change keeps its singular directions; singular values above σ_max(W_0) are reduced."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float

from core import ceiling
from core.editing.guards import ACCUMULATED, ORIGINAL, Guard
from core.editing.linalg.lowrank import LowRank
from core.editing.linalg.subspace import Svd
from core.editing.settings.parameters import param
from core.lazy import torch


@dataclass(frozen=True, kw_only=True)
class Prune(Guard[float]):
    """Singular values σ̂ of ΔW = W_t − W_0 above σ_max(W_0) become log_α σ̂ − log_α σ_max + σ_max (Ma et al. 2024, §5).

    The model uses the pruned change. Editing continues from the unpruned weights, as in the authors' code, which prunes
    once for the evaluation, or with `every_round` from the pruned ones. Guards after this one act on the pruned change.
    For σ_max < 1 / ln α the formula makes values just above σ_max larger.
    """

    title: ClassVar[str] = "PRUNE"
    paper: ClassVar[str] = "arXiv 2405.16821"
    when = ACCUMULATED
    inside: ClassVar[bool] = True

    alpha: float = param(
        1.2,
        symbol="α",
        gt=1,
        le=ceiling.RATIO,
        offers=((1.2, "1.2, the authors' first"), (math.e, "e, as AlphaEdit's comparison runs it")),
        help="Base of the logarithm: 1.2, 1.5, 2 and e in the authors' code; e (2.718281828459045) is the natural"
        " logarithm, with which AlphaEdit's comparison runs it.",
    )
    linear: bool = param(False, help="σ̂ / 2 + σ_max / 2 instead of the logarithm.")
    every_round: bool = param(False, help="Continue editing from the pruned weights.")
    alphaedit_repo_bug: bool = param(
        False, help="As in AlphaEdit's repository: the pruned change is added to weights that have the change already."
    )

    @property
    def needs(self) -> str:
        return ORIGINAL

    def prepare(self, source: Svd, layer: int) -> float:
        """σ_max(W_0)."""
        return float(source.sigma[0])

    def apply(self, delta: LowRank, basis: float) -> LowRank:
        """The pruned change."""
        if not self.alphaedit_repo_bug and delta.norm() <= basis:  # no singular value exceeds the Frobenius norm
            return delta
        u, sigma, vh = torch.linalg.svd(delta.dense(), full_matrices=False)
        pruned = LowRank(u * self.reduced(sigma, basis), vh.T)
        return delta.plus(pruned) if self.alphaedit_repo_bug else pruned

    def reduced(self, sigma: Float[torch.Tensor, " n"], most: float) -> Float[torch.Tensor, " n"]:
        """The singular values after pruning."""
        if self.linear:
            smaller = sigma / 2 + most / 2
        else:
            smaller = (sigma.clamp(min=most).log() - math.log(most)) / math.log(self.alpha) + most
        return torch.where(sigma > most, smaller, sigma)


GUARD = Prune
