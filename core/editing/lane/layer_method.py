"""Methods that update one layer after another: settings of the value optimisation, and the interface of the update."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float

from core import ceiling
from core.editing.lane.method import Method, Recipe
from core.editing.lane.targets import eos_option
from core.editing.layer_context import LayerContext
from core.editing.linalg.lowrank import LowRank
from core.editing.settings.defaults import Default, ModelInfo, value_defaults
from core.editing.settings.parameters import param
from core.lazy import torch

ADAM, GAUSS_NEWTON = "adam", "gauss_newton"


@dataclass(frozen=True, kw_only=True)
class LayerMethod(Method):
    """Optimise the residual stream at the subject until the model gives the target; write that into FFN weights.

    Defaults are those of MEMIT for large models; `core.editing.settings.defaults` has those of each model.
    """

    site: ClassVar[str] = "block"  # where z is: the residual stream after the last layer, or "ffn", its FFN's output
    flat_mean: ClassVar[bool] = False  # all prompts have equal weight; else the bare one has half of the weight
    keeps_lengths: ClassVar[bool] = False  # outputs can only be turned: values of another length are out of reach
    mean_states: ClassVar[bool] = False  # the residual is relative to the mean state, not the bare prompt's

    optimizer: str = param(
        ADAM,
        choices=(ADAM, GAUSS_NEWTON),
        help="Steps of the value optimisation: Adam, or Gauss-Newton steps on the target's margins, which need fewer.",
    )
    steps: int = param(25, ge=1, le=ceiling.STEPS, help="Evaluations of the value loss; no step follows the last.")
    lr: float = param(0.1, gt=0, le=ceiling.RATIO, help="Adam's learning rate in the value optimisation.")
    relative_lr: bool = param(False, help="Scale the learning rate by each fact's state: lr · ‖h0‖ / √d instead of lr.")
    clamp: float = param(0.75, gt=0, le=ceiling.RATIO, help="Maximum ‖δ‖ / ‖h0‖.")
    weight_decay: float = param(
        0.5, symbol="w", ge=0, le=ceiling.WEIGHT, help="Weight of ‖δ‖ / ‖h0‖² in the value loss."
    )
    kl: float = param(
        0.0625,
        symbol="κ",
        ge=0,
        le=ceiling.WEIGHT,
        help="Weight of KL(edited ‖ original) at the subject in “{subject} is a”.",
    )
    stop_loss: float = param(0.05, ge=0, le=ceiling.RATIO, help="A fact is done when its loss is below this.")
    contexts: int = param(5, ge=0, le=50, help="Number of sampled prefixes, besides the bare prompt.")
    context_length: int = param(10, ge=2, le=100, help="Length of a prefix in tokens.")
    context_seeds: str = param(
        "words", choices=("words", "bos"), help="How prefixes start: with one of five common words, or with nothing."
    )
    eos: bool = eos_option()
    guard_aware: bool = param(
        False, help="Optimise values and solve for updates within what the guards allow, not projected afterwards."
    )

    def idle(self) -> dict[str, str]:
        """Adam's settings have no effect with other steps."""
        if self.optimizer == ADAM:
            return {}
        why = "Gauss-Newton steps have no learning rate"
        return {"lr": why, "relative_lr": why}

    def samples(self) -> tuple[tuple[int, int], ...]:
        """The sampled prefixes: (how many, how many tokens each)."""
        return ((self.contexts, self.context_length),)

    @classmethod
    def usual(cls, model: ModelInfo) -> dict[str, Default]:
        """MEMIT's settings for the model, or an approximation of them."""
        return value_defaults(model, cls.site)

    def share(self, index: int, count: int) -> float:
        """The part of the remaining residual that the `index`-th of `count` layers takes (MEMIT, Eq. 20)."""
        return 1 / (count - index)

    @abstractmethod
    def update(
        self,
        keys: Float[torch.Tensor, "d_in b"],
        residual: Float[torch.Tensor, "d_out b"],
        context: LayerContext,
    ) -> LowRank:
        """ΔW of one layer from the round's keys and the residual that this layer should add. All float64."""

    @classmethod
    def of(cls, recipe: Recipe) -> LayerMethod:
        """The method of a recipe. Raises `TypeError` for a method of another kind."""
        if not isinstance(recipe.method, LayerMethod):
            raise TypeError(f"{recipe.method.title} does not update one layer after another")
        return recipe.method
