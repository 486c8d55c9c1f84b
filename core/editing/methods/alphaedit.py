"""AlphaEdit: updates in the null space of what the layer usually reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float

from core.editing.defaults import Default, ModelInfo, is_pocket
from core.editing.failure import EditFailure
from core.editing.locate import LayerContext, LocateThenEdit
from core.editing.lowrank import LowRank
from core.editing.parameters import param
from core.editing.solve import factor
from core.lazy import torch

POCKET = {
    "relative": Default(True, "The variances of the model's layers differ by a factor of ten."),
    "threshold": Default(
        0.5, "Of the mean variance: the model's keys are sparse, most directions have less than this."
    ),
    "beta": Default(0.03, "By plain efficacy: the model's keys are small beside a β of 10, which edits nothing."),
}


@dataclass(frozen=True, kw_only=True)
class AlphaEdit(LocateThenEdit):
    """Δ = R Kᵀ P (P (K Kᵀ + K_p K_pᵀ) P + β I)⁻¹ (Fang et al. 2025, Eq. 12).

    P projects onto the eigenvectors of C0 whose eigenvalue is below a threshold: absolute as published, so that it
    depends on the size of the activations, or relative to the mean eigenvalue. K_p are the keys of earlier rounds as
    they were edited. The authors' code reads them again from the edited model: the same numbers, since a layer's keys
    depend only on the layers below it.
    """

    title: ClassVar[str] = "AlphaEdit"
    paper: ClassVar[str] = "arXiv 2410.02355"

    threshold: float = param(0.02, gt=0, help="Directions of C0 with less variance than this may change.")
    relative: bool = param(False, help="The threshold is a share of the mean variance, whatever the activations' size.")
    beta: float = param(10.0, symbol="β", gt=0, help="Weight of ‖Δ‖²: 10 in the authors' code, 1 in FastEdit's.")
    history: bool = param(True, help="Protect the keys of earlier rounds.")

    @classmethod
    def usual(cls, model: ModelInfo) -> dict[str, Default]:
        """MEMIT's settings; the embedded model's own threshold."""
        return super().usual(model) | (POCKET if is_pocket(model) else {})

    def update(
        self,
        keys: Float[torch.Tensor, "d_in b"],
        residual: Float[torch.Tensor, "d_out b"],
        context: LayerContext,
    ) -> LowRank:
        """Δ of one layer: rank b, ΔP = Δ. With fewer keys n than inputs an n x n system is solved (push-through)."""
        threshold = self.threshold
        if self.relative:
            threshold = context.once(
                ("variance", self.threshold), lambda: self.threshold * float(context.moment().diagonal().mean())
            )
        projection = context.prior.projection(context, threshold)
        if projection.rank == 0:
            raise EditFailure(
                f"Layer {context.layer}: no direction of the keys has a variance below {threshold:.3g}, so AlphaEdit"
                ' may change nothing. Raise "threshold", or set "relative": true.'
            )
        context.notes.append(f"Layer {context.layer}: {projection.rank} of {len(keys)} input directions may change.")
        past = context.prior.past(context) if self.history else keys[:, :0]
        seen = projection.apply(torch.cat([past, keys], 1))
        return LowRank(residual, ridge_solve(seen, keys.shape[1], self.beta, context.layer))


def ridge_solve(seen: Float[torch.Tensor, "d n"], last: int, beta: float, layer: int) -> Float[torch.Tensor, "d last"]:
    """(S Sᵀ + β I)⁻¹ of the last columns of S, by whichever of S Sᵀ and Sᵀ S is smaller."""
    small = seen.shape[1] < seen.shape[0]
    gram = seen.T @ seen if small else seen @ seen.T
    gram.diagonal().add_(beta)
    lower = factor((gram + gram.T) / 2, layer)
    if not small:
        return torch.cholesky_solve(seen[:, -last:], lower)
    chosen = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)[:, -last:]
    return seen @ torch.cholesky_solve(chosen, lower)


METHOD = AlphaEdit
