"""What locate-then-edit methods share: hyperparameters of the value optimisation, and what an update is given."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from jaxtyping import Float

from core import ceiling
from core.editing import priors
from core.editing.defaults import Default, ModelInfo, value_defaults
from core.editing.lowrank import LowRank
from core.editing.method import Method, Round
from core.editing.metric import Metric
from core.editing.parameters import param
from core.editing.subspace import Projection, Svd, svd
from core.lazy import torch

if TYPE_CHECKING:
    from core.editing.spread import RoundUpdate

Built = TypeVar("Built")


@dataclass(frozen=True, kw_only=True)
class LayerContext:
    """What a method may look at besides keys and residuals when it updates one layer.

    `moment()` is C0 of the layer [d_in, d_in] in float64, asked for only by methods that use it; `history` the keys
    of all earlier rounds [d_in, n]; `bare` the round's keys in the bare prompts, where the method asks for them. `memo`
    lives as long as the run: what is the same every round is built once, within `setup`, which has the time of that.
    `notes` takes what a person should know.
    `prior` says what stands for C0 in the cost of an update (`metric`). In a guard-aware round all of it is
    restricted to what the guards leave: `blocked` are the orthonormal input directions that they protect,
    `blocked_outputs` those of the output, and `whole` is the context without that restriction.
    """

    layer: int
    weight: Float[torch.Tensor, "d_out d_in"]
    original: Float[torch.Tensor, "d_out d_in"]
    history: Float[torch.Tensor, "d_in n"]
    moment: Callable[[], Float[torch.Tensor, "d_in d_in"]]
    memo: MutableMapping[Any, Any]
    setup: Callable[[], AbstractContextManager] = nullcontext
    bare: Float[torch.Tensor, "d_in b"] | None = None
    notes: list[str] = field(default_factory=list)
    prior: Any = field(default_factory=lambda: priors.get("full")())
    blocked: Float[torch.Tensor, "d_in k"] | None = None
    blocked_outputs: Float[torch.Tensor, "d_out j"] | None = None
    whole: LayerContext | None = None

    def metric(self, weight: float, ridge: float = 0.0, history: bool = False) -> Metric:
        """A = λ (C + ε tr(C)/d I) (+ K_p K_pᵀ), with C as the lane's prior has it: what an update costs."""
        return self.prior.metric(self, weight, ridge, history)

    def allowed(self, keys: Float[torch.Tensor, "d_in n"]) -> Float[torch.Tensor, "d_in n"]:
        """Keys without their part in the blocked directions, taken out twice: once more for what rounding leaves."""
        if self.blocked is None:
            return keys
        free = Projection(self.blocked, onto=False)
        return free.apply(free.apply(keys))

    def svd(self) -> Svd:
        """The decomposition of the original weight, made once."""
        return self.once(("svd",), lambda: svd(self.original))

    def once(self, key: tuple, build: Callable[[], Built]) -> Built:
        """What `build` gives, built at most once per run, layer and key."""
        place = (self.layer, *key)
        if place not in self.memo:
            with self.setup():
                self.memo[place] = build()
        return self.memo[place]


@dataclass(frozen=True, kw_only=True)
class LocateThenEdit(Method):
    """Optimise the residual stream at the subject until the model says the target; write that into FFN weights.

    Defaults are those of MEMIT for large models; `core.editing.defaults` has each model's own.
    """

    site: ClassVar[str] = "block"  # where z is: the residual stream after the last layer, or "ffn", its FFN's output
    flat_mean: ClassVar[bool] = False  # means are over all prompts alike; else the bare one has half of the weight
    mean_states: ClassVar[bool] = False  # what is missing is counted from the mean state, not the bare prompt's

    steps: int = param(25, ge=1, le=ceiling.STEPS, help="Evaluations of the value's loss; the last one does not step.")
    lr: float = param(0.1, gt=0, le=ceiling.RATIO, help="Adam's step size in the value optimisation.")
    relative_lr: bool = param(
        False, help="Take the step size relative to each fact's state: lr · ‖h0‖ / √d instead of lr."
    )
    clamp: float = param(0.75, gt=0, le=ceiling.RATIO, help="The largest ‖δ‖ / ‖h0‖.")
    weight_decay: float = param(
        0.5, symbol="w", ge=0, le=ceiling.WEIGHT, help="Weight of ‖δ‖ / ‖h0‖² in the value's loss."
    )
    kl: float = param(
        0.0625,
        symbol="κ",
        ge=0,
        le=ceiling.WEIGHT,
        help="Weight of KL(edited ‖ original) at the subject in “{subject} is a”.",
    )
    stop_loss: float = param(0.05, ge=0, le=ceiling.RATIO, help="A fact is done when its loss is below this.")
    contexts: int = param(5, ge=0, le=50, help="Sampled prefixes besides the bare prompt.")
    context_length: int = param(10, ge=2, le=100, help="Their length in tokens.")
    context_seeds: str = param(
        "words", choices=("words", "bos"), help="What they start from: five common words, or nothing."
    )
    guard_aware: bool = param(
        False, help="Seek values and solve for updates inside what the guards leave, instead of cutting them after."
    )

    def samples(self) -> tuple[tuple[int, int], ...]:
        """The sampled prefixes: (how many, how many tokens each)."""
        return ((self.contexts, self.context_length),)

    @classmethod
    def usual(cls, model: ModelInfo) -> dict[str, Default]:
        """MEMIT's settings for the model, or the nearest thing to them."""
        return value_defaults(model, cls.site)

    def edit(self, round_: Round) -> RoundUpdate:
        """All facts of the round together: target values, then their spread over the layers (MEMIT, Alg. 1)."""
        from core.editing.procedures import together

        return together(round_)

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
