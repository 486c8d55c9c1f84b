"""ROME as it was published: one fact, one layer, an update of rank one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from jaxtyping import Float

from core import ceiling
from core.editing.lane.method import Round
from core.editing.layer_context import LayerContext
from core.editing.linalg.lowrank import LowRank
from core.editing.rounds.locate_then_edit import LocateThenEdit
from core.editing.settings.defaults import (
    GPT2_XL,
    GPT_J,
    LLAMA_2,
    LLAMA_3,
    MISTRAL,
    QWEN,
    Default,
    ModelInfo,
    Published,
    published,
)
from core.editing.settings.parameters import param
from core.lazy import torch

if TYPE_CHECKING:
    from core.editing.lane.results import RoundUpdate

ROME_CODE = "the ROME authors' configuration"
EASY_EDIT = "EasyEdit's configuration of ROME"
PAPER = {"steps": 20, "lr": 0.5, "clamp": 4.0, "weight_decay": 0.5, "moment": True}
EASY = {"layers": (5,), "steps": 25, "lr": 0.5, "clamp": 4.0, "weight_decay": 1e-3, "moment": False}
PUBLISHED = (
    Published(GPT2_XL, ROME_CODE, {"layers": (17,), **PAPER}),
    Published(GPT_J, ROME_CODE, {"layers": (5,), **PAPER}),
    *(Published(model, EASY_EDIT, EASY) for model in (LLAMA_2, LLAMA_3, MISTRAL, QWEN)),
)


@dataclass(frozen=True, kw_only=True)
class Rome(LocateThenEdit):
    """Δ = (v* − W k) uᵀ / (uᵀ k), u = C0⁻¹ k̄: least ‖Δ C0^½‖ with (W + Δ) k = v* (Meng et al. 2022, Eq. 2).

    As its authors run it: u comes from the key k̄ averaged over contexts, but k is the bare prompt's, so the constraint
    holds for k while the update lies along k̄; where uᵀk is small, the update explodes. `r_rome` is consistent. The
    facts of a round are edited one after the other, each on the model after the earlier ones, which are not protected.
    v* = (FFN's output at the bare prompt) + δ. One layer as published; several share the residual as in MEMIT.
    """

    title: ClassVar[str] = "ROME"
    paper: ClassVar[str] = "arXiv 2202.05262"
    site: ClassVar[str] = "ffn"
    flat_mean: ClassVar[bool] = True

    steps: int = param(20, ge=1, le=ceiling.STEPS, help="Evaluations of the value loss; no step follows the last.")
    lr: float = param(0.5, gt=0, le=ceiling.RATIO, help="Adam's learning rate in the value optimisation.")
    clamp: float = param(4.0, gt=0, le=ceiling.RATIO, help="Maximum ‖δ‖ / ‖v0‖; v0 is the FFN's output.")
    contexts: int = param(20, ge=0, le=50, help="Number of sampled prefixes; half of them have half the length.")
    moment: bool = param(
        True,
        symbol="C0",
        help="Weight inputs by C0; off: Δ lies along k̄, as configured for Llama-like models.",
    )
    ridge: float = param(
        0.0, symbol="ε", ge=0, le=ceiling.RATIO, help="Share of the mean variance added to every direction of C0."
    )

    def samples(self) -> tuple[tuple[int, int], ...]:
        """Half of the prefixes have half the length."""
        short = self.contexts // 2
        return ((short, max(self.context_length // 2, 2)), (self.contexts - short, self.context_length))

    def idle(self) -> dict[str, str]:
        """ε, if inputs are not weighted."""
        return {**super().idle(), **({} if self.moment else {"ridge": "inputs are not weighted by C0"})}

    @classmethod
    def usual(cls, model: ModelInfo) -> dict[str, Default]:
        """The published settings; for other models one of the layers that MEMIT would edit."""
        if row := published(model, PUBLISHED):
            return row
        shared = super().usual(model)
        layers = shared["layers"].value
        why = f"{shared['layers'].reason} ROME edits one layer: the middle one of MEMIT's."
        return {**shared, "layers": Default((layers[len(layers) // 2],), why)}

    def edit(self, round_: Round) -> RoundUpdate:
        """Fact after fact."""
        from core.editing.rounds.procedures import one_by_one

        return one_by_one(round_)

    def update(
        self,
        keys: Float[torch.Tensor, "d_in 1"],
        residual: Float[torch.Tensor, "d_out 1"],
        context: LayerContext,
    ) -> LowRank:
        """Δ of rank one, with the bare prompt's key in the denominator."""
        along, bare = self.direction(keys, context), keys if context.bare is None else context.bare
        return LowRank(residual, along / (along * bare).sum(0))

    def direction(self, keys: Float[torch.Tensor, "d_in 1"], context: LayerContext) -> Float[torch.Tensor, "d_in 1"]:
        """u = C0⁻¹ k̄ / ‖C0⁻¹ k̄‖; with `moment` off k̄ / ‖k̄‖."""
        along = context.metric(1.0, self.ridge).solve(keys) if self.moment else keys
        return along / along.norm(dim=0)


METHOD = Rome
