"""A lane's state: the edited matrices that it wears, and the keys that it has edited."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from core.editing.lowrank import LowRank, added
from core.models.language_model import LanguageModel


@dataclass(frozen=True)
class LayerUpdates:
    """What a round did to each layer: the update that was added and the keys that were edited, in W's type."""

    updates: dict[int, LowRank]
    keys: dict[int, Float[Tensor, "d_in b"]]


@dataclass
class LaneState:
    """W_t and the keys of all rounds so far, per edited layer. Matrices are replaced, never changed in place."""

    weights: dict[int, Float[Tensor, "d_out d_in"]]
    history: dict[int, Float[Tensor, "d_in n"]]

    @classmethod
    def base(cls, lm: LanguageModel, layers: Sequence[int]) -> LaneState:
        """The unedited model."""
        weights = {layer: lm.original(layer) for layer in layers}
        return cls(weights, {layer: w.new_zeros(w.shape[1], 0) for layer, w in weights.items()})

    def apply(self, round_: LayerUpdates) -> None:
        """Add a round. Live application and every replay go through here, in the order of the edit."""
        for layer, delta in round_.updates.items():
            self.weights[layer] = added(self.weights[layer], delta)
            self.history[layer] = torch.cat([self.history[layer], round_.keys[layer]], 1)

    def copy(self) -> LaneState:
        """A branch: shares the matrices until either side is edited."""
        return LaneState(dict(self.weights), dict(self.history))

    def digest(self, layer: int) -> str:
        """The first 16 hex digits of SHA-256 of a layer's W_t: equal digests, equal bits."""
        numbers = self.weights[layer].contiguous().cpu().reshape(-1).view(torch.uint8)
        return hashlib.sha256(numbers.numpy().data).hexdigest()[:16]
