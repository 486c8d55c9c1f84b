"""A layer with made-up keys and statistics of any width, for the solves alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from core.editing import priors
from core.editing.lane.state import LaneState, LayerUpdates, LowRank
from core.editing.layer_context import LayerContext
from core.editing.linalg.subspace import Projection
from core.editing.priors.full import Full


class Layer:
    """Keys as U z + √D n: a tail of directions that become ever weaker, and what each input does by itself.

    Its C0 is U Uᵀ + D. `state` holds the keys of all rounds as a lane does; `outputs` stay few: they cost nothing here.
    """

    def __init__(self, d: int, device: str = "cpu", directions: int = 256, outputs: int = 8):
        self.random = torch.Generator(device).manual_seed(0)
        self.d, self.device, self.outputs = d, device, outputs
        sizes = torch.arange(1, directions + 1, device=device, dtype=torch.float64) ** -0.5
        self.directions = self.normal(d, directions) * sizes
        self.own = 0.05 + 0.1 * torch.rand(d, 1, generator=self.random, device=device, dtype=torch.float64)
        self.weight = torch.zeros(outputs, d, device=device)
        self.state = LaneState({0: self.weight}, {0: torch.zeros(d, 0, device=device)}, {0: self.weight})
        self.memo: dict[Any, Any] = {}

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers, the same every time."""
        return torch.randn(*shape, generator=self.random, device=self.device, dtype=torch.float64)

    def moment(self) -> Tensor:
        """C0."""
        matrix = self.directions @ self.directions.T
        matrix.diagonal().add_(self.own[:, 0])
        return matrix

    def keys(self, count: int) -> Tensor:
        """A round's keys, rounded as a lane keeps them."""
        some = self.directions @ self.normal(self.directions.shape[1], count)
        return (some + self.own.sqrt() * self.normal(self.d, count)).float().double()

    def context(self, prior: Any = None) -> LayerContext:
        """What a method is given."""
        more = {} if prior is None else {"prior": prior}
        return LayerContext(
            layer=0, weight=self.weight, original=self.weight, history=self.state.history[0], moment=self.moment,
            memo=self.memo, **{"prior": priors.get("full")()} | more,
        )  # fmt: skip

    def remember(self, keys: Tensor) -> None:
        """The round is over: its keys are history."""
        nothing = LowRank(self.weight[:, :0], self.weight.T[:, :0])
        self.state.apply(LayerUpdates({0: nothing}, {0: keys.to(self.weight.dtype)}))


class Given(Full):
    """The full second moment, with a null space that is given instead of found: an eigendecomposition of the largest
    widths takes far longer than all that is measured."""

    def __init__(self, blocked: Tensor):
        object.__setattr__(self, "blocked", blocked)

    def projection(self, context: LayerContext, threshold: float) -> Projection:
        return Projection(self.blocked, onto=False)
