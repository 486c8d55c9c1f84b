"""What locate-then-edit methods share: hyperparameters of the value optimisation, and what an update is given."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from jaxtyping import Float

from core.editing.lowrank import LowRank
from core.editing.parameters import param
from core.lazy import torch

Built = TypeVar("Built")


@dataclass(frozen=True, kw_only=True)
class LayerContext:
    """What a method may look at besides keys and residuals when it updates one layer.

    `moment()` is C0 of the layer [d_in, d_in] in float64, asked for only by methods that use it; `history` the keys
    of all earlier rounds [d_in, n]. `memo` lives as long as the run: what is the same every round is built once.
    """

    layer: int
    weight: Float[torch.Tensor, "d_out d_in"]
    original: Float[torch.Tensor, "d_out d_in"]
    history: Float[torch.Tensor, "d_in n"]
    moment: Callable[[], Float[torch.Tensor, "d_in d_in"]]
    memo: MutableMapping[Any, Any]

    def once(self, key: tuple, build: Callable[[], Built]) -> Built:
        """What `build` gives, built at most once per run, layer and key."""
        place = (self.layer, *key)
        if place not in self.memo:
            self.memo[place] = build()
        return self.memo[place]


@dataclass(frozen=True, kw_only=True)
class LocateThenEdit:
    """Optimise the residual stream at the subject until the model says the target; write that into FFN weights.

    Defaults are those of MEMIT for large models; `core.editing.defaults` has each model's own.
    """

    title: ClassVar[str]
    paper: ClassVar[str]

    layers: tuple[int, ...] | None = param(None, symbol="L", help="The edited layers, counted from 0, ascending.")
    steps: int = param(25, ge=1, help="Evaluations of the value's loss; the last one does not step.")
    lr: float = param(0.1, gt=0, help="Adam's step size in the value optimisation.")
    relative_lr: bool = param(
        False, help="Take the step size relative to each fact's state: lr · ‖h0‖ / √d instead of lr."
    )
    clamp: float = param(0.75, gt=0, help="The largest ‖δ‖ / ‖h0‖.")
    weight_decay: float = param(0.5, symbol="w", ge=0, help="Weight of ‖δ‖ / ‖h0‖² in the value's loss.")
    kl: float = param(
        0.0625, symbol="κ", ge=0, help="Weight of KL(edited ‖ original) at the subject in “{subject} is a”."
    )
    stop_loss: float = param(0.05, ge=0, help="A fact is done when its loss is below this.")
    contexts: int = param(5, ge=0, le=50, help="Sampled prefixes besides the bare prompt.")
    context_length: int = param(10, ge=2, le=100, help="Their length in tokens.")
    context_seeds: str = param(
        "words", choices=("words", "bos"), help="What they start from: five common words, or nothing."
    )

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
