"""AlphaEdit: updates in the null space of the layer's usual inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float

from core import ceiling
from core.editing.failure import EditFailure
from core.editing.layer_context import LayerContext
from core.editing.linalg.lowrank import LowRank
from core.editing.linalg.metric import Scaled
from core.editing.linalg.subspace import Projection
from core.editing.rounds.locate_then_edit import LocateThenEdit
from core.editing.settings.defaults import (
    ALPHA_EDIT,
    GPT2_XL,
    GPT_J,
    LLAMA_3,
    NOT_PUBLISHED,
    PUBLISHED,
    Default,
    ModelInfo,
    Published,
    is_pocket,
    published,
)
from core.editing.settings.parameters import param
from core.lazy import torch

POCKET = {
    "relative": Default(True, "The variances of the model's layers differ by a factor of ten."),
    "threshold": Default(
        0.5,
        "Relative to the mean variance: keys are sparse, and most directions have less than this. At .1 a round of 50"
        " brings LS down to .46.",
    ),
    "beta": Default(
        0.03, "Chosen by efficacy: the model's keys are small relative to a β of 10, which edits nothing, or of 1."
    ),
}
AS_PUBLISHED = {"threshold": 0.02, "relative": False, "beta": 10.0}
OWN = tuple(Published(model, ALPHA_EDIT, AS_PUBLISHED) for model in (GPT2_XL, GPT_J, LLAMA_3))
ELSEWHERE = {
    name: Default(
        value,
        f"{NOT_PUBLISHED} its authors' value for GPT2-XL, GPT-J and Llama-3-8B. The events report how many directions"
        ' may change; if that is almost none, or all, set "relative".',
        "threshold" if name == "relative" else "",
    )
    for name, value in AS_PUBLISHED.items()
}
UNKNOWN = {
    "threshold": Default(
        0.5, f"{NOT_PUBLISHED} half of the mean variance. The published .02 is tuned to the activations of its models."
    ),
    "relative": Default(True, f"{NOT_PUBLISHED} the scale of its activations.", "threshold"),
    "beta": Default(
        None, f"{NOT_PUBLISHED} measured. Whether the published 10 is large or small depends on the model's keys."
    ),
}

INERT = 1.0  # β from which on the embedded model hardly changes


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

    threshold: float = param(
        0.02, gt=0, le=ceiling.RATIO, help="Only directions of C0 with less variance than this may change."
    )
    relative: bool = param(
        False, help="The threshold is a share of the mean variance, independent of the activations' scale."
    )
    beta: float | None = param(
        10.0,
        symbol="β",
        gt=0,
        le=ceiling.WEIGHT,
        help="Weight of ‖Δ‖²: 10 in the authors' code, 1 in FastEdit's; null: ‖P k‖² of a typical key k.",
    )
    history: bool = param(True, help="Protect the keys of earlier rounds.")

    @classmethod
    def usual(cls, model: ModelInfo) -> dict[str, Default]:
        """MEMIT's settings; threshold and β as published, the embedded model's own, or measured ones."""
        elsewhere = ELSEWHERE if published(model, PUBLISHED) else UNKNOWN
        own = POCKET if is_pocket(model) else published(model, OWN) or elsewhere
        return super().usual(model) | own

    def cautions(self, model: ModelInfo) -> tuple[str, ...]:
        """A warning that the published β has no effect on the embedded model."""
        if self.beta is None or self.beta < INERT or not is_pocket(model):
            return ()
        return (
            f"AlphaEdit with β = {self.beta:g} edits little or nothing on the embedded model, whose keys are small"
            " relative to it: of 20 facts all are exact with β = .03, .95 with .3, .15 with 1 (FastEdit's) and none"
            " with 10 (the authors'). Leave β empty here.",
        )

    def update(
        self,
        keys: Float[torch.Tensor, "d_in b"],
        residual: Float[torch.Tensor, "d_out b"],
        context: LayerContext,
    ) -> LowRank:
        """Δ of one layer: rank b, ΔP = Δ."""
        threshold = self.threshold
        if self.relative:
            threshold = context.once(
                ("variance", self.threshold), lambda: self.threshold * float(context.moment().diagonal().mean())
            )
        projection = context.prior.projection(context, threshold)
        if projection.rank == 0:
            raise EditFailure(
                f"Layer {context.layer}: AlphaEdit may change nothing. {context.prior.opening(threshold)}"
            )
        context.notes.append(f"Layer {context.layer}: {projection.rank} of {len(keys)} input directions may change.")
        return LowRank(residual, self.solved(keys, context, projection))

    def weight(self, context: LayerContext, projection: Projection) -> float:
        """β: the one given, or E ‖P k‖² = tr(P C0) over the tokens of the layer's statistics, with a note."""
        if self.beta is not None:
            return self.beta

        def measure() -> float:
            moment, some = context.moment().double(), projection.columns
            inside = float((some * (moment @ some)).sum())
            return inside if projection.onto else float(moment.trace()) - inside

        key = ("projected key", context.prior, self.threshold, self.relative)
        beta = context.once(key, measure)
        context.notes.append(
            f"Layer {context.layer}: β = {beta:.3g}, the measured squared norm of a typical projected key."
        )
        return beta

    def solved(
        self, keys: Float[torch.Tensor, "d_in b"], context: LayerContext, projection: Projection
    ) -> Float[torch.Tensor, "d_in b"]:
        """(P (K Kᵀ + K_p K_pᵀ) P + β I)⁻¹ P K: while earlier keys are fewer than inputs by the system with a row for
        each of them (push-through), then by the one with a row per input."""
        size, beta = context.weight.shape[1], self.weight(context, projection)
        base = context.once(("ridge", beta), lambda: Scaled(beta, context.layer))
        if not self.history:
            return base.solve_with_keys(projection.apply(keys))

        def matrix() -> Float[torch.Tensor, "d_in d_in"]:
            return torch.eye(size, dtype=torch.float64, device=context.weight.device) * beta

        def project(block: Float[torch.Tensor, "d_in n"]) -> Float[torch.Tensor, "d_in n"]:
            return projection.apply(context.allowed(block))

        key = ("null space", beta, self.threshold, self.relative)
        return context.prior.protecting(context, key, base, matrix, project, woodbury_limit=size).solve_with_keys(keys)


METHOD = AlphaEdit
