"""Results of an edit: target values, and updates with diagnostics."""

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
    """The result of a round's optimisation, per fact: the loss before and after it, and the number of evaluations."""

    loss_start: Float[Tensor, " b"]
    loss: Float[Tensor, " b"]
    steps: Int[Tensor, " b"]


@dataclass(frozen=True)
class RoundUpdate(LayerUpdates):
    """A round's edit with its diagnostics.

    `removed_share` is the part of ‖ΔW‖² that the guards removed: 1 − ‖guarded‖²/‖raw‖². `residual_before` and
    `residual_after` are the mean over facts of ‖z − current‖ / ‖z − h0‖ before and after a layer's update; after the
    last one all guards have acted. `seconds` by phase (`core.editing.stopwatch`), once the round is complete. `factor`
    is the solved factor of a matched shrinkage; `notes` are remarks for the user.
    """

    removed_share: dict[int, float]
    residual_before: dict[int, float]
    residual_after: dict[int, float]
    values: Values | Fit
    seconds: dict[str, float] = field(default_factory=dict)
    factor: float | None = None
    notes: list[str] = field(default_factory=list)
