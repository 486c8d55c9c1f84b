"""A lane's state: the edited matrices that it wears, and the keys that it has edited."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from core.editing.lowrank import LowRank, added
from core.models.language_model import LanguageModel


@dataclass(frozen=True)
class LayerUpdates:
    """What a round did to each layer: the update that was added and the keys that were edited, in W's type.

    `corrections` is what guards of the accumulated change have the lane wear besides the sum of all updates, until
    the next round: C_t with W_t = W_0 + Δ_1 + … + Δ_t + C_t. Layers without one wear the sum as it is. `raw` is the
    update before the guards. `start` and `target` are the facts' values at the last edited layer, before the edit and
    as aimed at, for methods that have such values.
    """

    updates: dict[int, LowRank]
    keys: dict[int, Float[Tensor, "d_in b"]]
    corrections: dict[int, LowRank] = field(default_factory=dict, kw_only=True)
    raw: dict[int, LowRank] = field(default_factory=dict, kw_only=True)
    start: Float[Tensor, "d b"] | None = field(default=None, kw_only=True)
    target: Float[Tensor, "d b"] | None = field(default=None, kw_only=True)


@dataclass
class LaneState:
    """W_t and the keys of all rounds so far, per edited layer. Matrices are replaced, never changed in place.

    `weights` is what the lane wears; `sums` what the next round goes on from: W_0 and all updates. They are the same
    matrices unless a guard acts on the accumulated change.
    """

    weights: dict[int, Float[Tensor, "d_out d_in"]]
    history: dict[int, Float[Tensor, "d_in n"]]
    sums: dict[int, Float[Tensor, "d_out d_in"]]

    @classmethod
    def base(cls, lm: LanguageModel, layers: Sequence[int]) -> LaneState:
        """The unedited model."""
        weights = {layer: lm.original(layer) for layer in layers}
        return cls(weights, {layer: w.new_zeros(w.shape[1], 0) for layer, w in weights.items()}, dict(weights))

    def apply(self, round_: LayerUpdates) -> None:
        """Add a round. Live application and every replay go through here, in the order of the edit."""
        for layer, delta in round_.updates.items():
            total = self.sums[layer] = added(self.sums[layer], delta)
            correction = round_.corrections.get(layer)
            self.weights[layer] = total if correction is None else added(total, correction)
            self.history[layer] = torch.cat([self.history[layer], round_.keys[layer]], 1)

    def copy(self) -> LaneState:
        """A branch: shares the matrices until either side is edited."""
        return LaneState(dict(self.weights), dict(self.history), dict(self.sums))

    def digest(self, layer: int) -> str:
        """The first 16 hex digits of SHA-256 of a layer's W_t: equal digests, equal bits."""
        numbers = self.weights[layer].contiguous().cpu().reshape(-1).view(torch.uint8)
        return hashlib.sha256(numbers.numpy().data).hexdigest()[:16]
