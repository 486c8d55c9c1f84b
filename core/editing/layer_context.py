"""What a method, and the prior of its lane, may look at when one layer is updated."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar

from jaxtyping import Float

from core.editing.linalg.metric import Metric
from core.editing.linalg.subspace import Projection, Svd, svd
from core.lazy import torch

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
    prior: Any
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
