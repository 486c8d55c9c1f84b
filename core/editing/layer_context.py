"""The data that a method may use when it updates a layer, and the base class of priors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from jaxtyping import Float

from core.editing.history.incremental import Projecting, Protecting
from core.editing.linalg.metric import Metric
from core.editing.linalg.subspace import Projection, Svd, svd
from core.editing.settings.defaults import Default, ModelInfo
from core.lazy import torch

Built = TypeVar("Built")


@dataclass(frozen=True, kw_only=True)
class LayerContext:
    """The data that a method may use, in addition to keys and residuals, when it updates one layer.

    `moment()` is C0 of the layer [d_in, d_in] in float64, requested only by methods that use it; `history` the keys of
    all earlier rounds [d_in, n]; `bare` the round's keys in the bare prompts. `memo` lasts as long as the run: what is
    the same in every round is computed once, within `setup`, which counts the time. `notes` collects remarks for the
    user. `prior` models C0 in the cost of an update (`metric`).

    In a guard-aware round everything is restricted to the complement of the protected directions: `blocked` are the
    orthonormal input directions that guards protect, `blocked_outputs` those of the output, and `whole` is the
    unrestricted context.
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
    prior: Prior
    blocked: Float[torch.Tensor, "d_in k"] | None = None
    blocked_outputs: Float[torch.Tensor, "d_out j"] | None = None
    whole: LayerContext | None = None

    def metric(self, weight: float, ridge: float = 0.0, history: bool = False) -> Metric:
        """A = λ (C + ε tr(C)/d I) (+ K_p K_pᵀ), with the lane's prior for C: the cost of an update."""
        return self.prior.metric(self, weight, ridge, history)

    def allowed(self, keys: Float[torch.Tensor, "d_in n"]) -> Float[torch.Tensor, "d_in n"]:
        """Keys without their part in the blocked directions, removed twice because of rounding errors."""
        if self.blocked is None:
            return keys
        free = Projection(self.blocked, onto=False)
        return free.apply(free.apply(keys))

    def svd(self) -> Svd:
        """The decomposition of the original weight, computed once."""
        return self.once(("svd",), lambda: svd(self.original))

    def once(self, key: tuple, build: Callable[[], Built]) -> Built:
        """The result of `build`, computed at most once per run, layer and key."""
        place = (self.layer, *key)
        if place not in self.memo:
            with self.setup():
                self.memo[place] = build()
        return self.memo[place]


class Prior(ABC):
    """The role of a layer's statistics in the cost of an update. Its fields are its hyperparameters."""

    title: ClassVar[str]
    paper: ClassVar[str]
    suffix: ClassVar[str] = ""  # of a method's name: MEMIT-F
    implies: ClassVar[Mapping[str, Default]] = MappingProxyType({})  # settings of the method, whatever the model

    @classmethod
    def usual(cls, model: ModelInfo, method: str) -> dict[str, Default]:
        """Hyperparameters of the prior that should differ from its defaults on this model, by spec name."""
        return {}

    @classmethod
    def suits(cls, model: ModelInfo, method: str) -> dict[str, Default]:
        """Settings of the method in the prior's paper for this model, by spec name."""
        return {}

    def idle(self, method: Any) -> dict[str, str]:
        """Fields without effect, by spec name, and why."""
        return {}

    @abstractmethod
    def metric(self, context: LayerContext, weight: float, ridge: float = 0.0, history: bool = False) -> Metric:
        """A = λ (C + ε tr(C)/d I), and K_p K_pᵀ of the earlier rounds' keys with `history`."""

    @abstractmethod
    def protecting(
        self,
        context: LayerContext,
        key: tuple,
        base: Metric,
        matrix: Callable[[], Float[torch.Tensor, "d_in d_in"]],
        project: Projecting | None = None,
        woodbury_limit: int = 0,
    ) -> Protecting:
        """A + K_p K_pᵀ for the keys of all earlier rounds. `base` is A and `matrix()` its matrix; `key` identifies A
        among the layer's metrics; `project` is applied to each block of keys; up to `woodbury_limit` keys are not
        added to A's matrix."""

    @abstractmethod
    def projection(self, context: LayerContext, threshold: float) -> Projection:
        """Onto the input directions that may change (AlphaEdit)."""

    @abstractmethod
    def opening(self, threshold: float) -> str:
        """Why `projection` is empty, and which settings to change."""
