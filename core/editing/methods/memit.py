"""MEMIT: least squares on many facts at once, spread over several layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float

from core import ceiling
from core.editing.layer_context import LayerContext
from core.editing.linalg.lowrank import LowRank
from core.editing.linalg.solve import STILL, factor
from core.editing.rounds.locate_then_edit import LocateThenEdit
from core.editing.settings.parameters import param
from core.lazy import torch


@dataclass(frozen=True, kw_only=True)
class Memit(LocateThenEdit):
    """Δ = R Kᵀ (λ C0 + K Kᵀ)⁻¹, the minimiser of ‖(W+Δ)K − V‖² + λ ‖Δ C0^½‖² (Meng et al. 2023, Eq. 14).

    With `history` the keys of earlier rounds are protected too: K_p K_pᵀ joins the inverse ("MEMIT_seq"). With
    `ridge` ε, C0 becomes C0 + ε · tr(C0)/d · I, which charges for the size of Δ also where keys vary little.
    """

    title: ClassVar[str] = "MEMIT"
    paper: ClassVar[str] = "arXiv 2210.07229"

    lambda_: float | None = param(
        15000.0,
        name="lambda",
        symbol="λ",
        gt=0,
        le=ceiling.WEIGHT,
        help="Weight of old associations relative to new ones; null: the measured size of a typical key.",
    )
    ridge: float = param(
        0.0, symbol="ε", ge=0, le=ceiling.RATIO, help="Share of the mean variance added to every direction of C0."
    )
    history: bool = param(False, help="Protect the keys of earlier rounds as well.")

    def update(
        self,
        keys: Float[torch.Tensor, "d_in b"],
        residual: Float[torch.Tensor, "d_out b"],
        context: LayerContext,
    ) -> LowRank:
        """Δ of one layer."""
        metric = context.metric(weight(context, self.lambda_, self.ridge), self.ridge, self.history)
        return LowRank(residual, metric.solve_with_keys(keys))


def weight(context: LayerContext, given: float | None, ridge: float) -> float:
    """λ: the given value, or E[kᵀ (C0 + ε tr(C0)/d I)⁻¹ k] over the tokens of the layer's statistics, with a note.

    This is the trace of (C0 + …)⁻¹ C0: without ε the number of inputs that are ever active. With this λ a typical new
    key weighs as much as all preserved keys, at each of the layers.
    """
    if given is not None:
        return given

    def measure() -> float:
        moment = context.moment().double()
        mean = float(moment.diagonal().mean())
        if not ridge:
            return float((moment.diagonal() > STILL * mean).sum())
        raised = moment.clone()
        raised.diagonal().add_(ridge * mean)
        inverse = torch.cholesky_inverse(factor(raised, context.layer))
        return len(moment) - ridge * mean * float(inverse.trace())

    measured = context.once(("typical key", ridge), measure)
    context.notes.append(f"Layer {context.layer}: λ = {measured:,.0f}, the measured size of a typical key.")
    return measured


METHOD = Memit
