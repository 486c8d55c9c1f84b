"""What an edit of a round gives: its target values, and its updates with how it went."""

from __future__ import annotations

from dataclasses import dataclass, field

from jaxtyping import Float, Int
from torch import Tensor

from core.editing.lane.state import LayerUpdates


@dataclass(frozen=True)
class Values:
    """Target values at the subject, per fact: z = h0 + δ. Losses at δ = 0 and at the end; evaluations of the loss."""

    target: Float[Tensor, "d b"]
    delta: Float[Tensor, "d b"]
    start: Float[Tensor, "d b"]
    loss_start: Float[Tensor, " b"]
    loss: Float[Tensor, " b"]
    steps: Int[Tensor, " b"]

    @property
    def size(self) -> Float[Tensor, " b"]:
        """‖δ‖ / ‖h0‖."""
        return self.delta.norm(dim=0) / self.start.norm(dim=0)


@dataclass(frozen=True)
class Fit:
    """How far a round's optimisation came, per fact: the loss before and after it, and how often it was evaluated."""

    loss_start: Float[Tensor, " b"]
    loss: Float[Tensor, " b"]
    steps: Int[Tensor, " b"]


@dataclass(frozen=True)
class RoundUpdate(LayerUpdates):
    """A round's edit and how it went.

    `removed_share` is the part of ‖ΔW‖² that the guards took: 1 − ‖guarded‖²/‖raw‖². `residual_before` and
    `residual_after` are the mean over facts of ‖z − current‖ / ‖z − h0‖ around a layer's update; after the last one
    all guards have acted. `seconds` by phase (`core.editing.stopwatch`), once the round is whole. `factor` is what a
    matched shrinkage was solved to; `notes` what a person should know.
    """

    removed_share: dict[int, float]
    residual_before: dict[int, float]
    residual_after: dict[int, float]
    values: Values | Fit
    seconds: dict[str, float] = field(default_factory=dict)
    factor: float | None = None
    notes: list[str] = field(default_factory=list)
