"""A lane's state: its edited matrices, the keys that it has edited, and what else it remembers and wears."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from core.editing.extras import extras
from core.editing.linalg.lowrank import LowRank, added
from core.models.language_model import LanguageModel
from core.models.worn import Worn


@dataclass(frozen=True)
class LayerUpdates:
    """A round's changes of each layer: the update that was added and the keys that were edited, in W's type.

    `corrections` are the differences that guards of the accumulated change make to the sum of all updates, until the
    next round: C_t with W_t = W_0 + Δ_1 + … + Δ_t + C_t. Layers without one use the sum unchanged. `raw` is the update
    before the guards. `start` and `target` are the facts' values at the last edited layer, before the edit and as aimed
    at, for methods that have such values. `memory` is what the editor will need in later rounds, by names of its own
    (running statistics, a measured norm), and all that it wears besides matrices (`core.editing.extras`); it replaces
    what was there under these names. A round that was edited `alone` changes the unedited model, whatever came before.
    """

    updates: dict[int, LowRank]
    keys: dict[int, Float[Tensor, "d_in b"]]
    corrections: dict[int, LowRank] = field(default_factory=dict, kw_only=True)
    raw: dict[int, LowRank] = field(default_factory=dict, kw_only=True)
    start: Float[Tensor, "d facts"] | None = field(default=None, kw_only=True)
    target: Float[Tensor, "d facts"] | None = field(default=None, kw_only=True)
    memory: dict[str, Tensor] = field(default_factory=dict, kw_only=True)
    alone: bool = field(default=False, kw_only=True)


class Shelf:
    """A buffer with a history's columns and space for more: appending costs only the size of the new columns."""

    def __init__(self) -> None:
        self._rows: Tensor | None = None
        self._filled = 0

    def add(self, history: Float[Tensor, "d n"], columns: Float[Tensor, "d b"]) -> Float[Tensor, "d m"]:
        """The history with more columns. Neither it nor the columns of another branch are changed."""
        before, after = history.shape[1], history.shape[1] + columns.shape[1]
        rows = self._rows
        here = rows is not None and before == self._filled and before > 0 and rows.data_ptr() == history.data_ptr()
        if rows is None or not here or after > len(rows):
            rows = history.new_empty(max(after, before + before // 2), history.shape[0])
            rows[:before] = history.T
        rows[before:after] = columns.T
        self._rows, self._filled = rows, after
        return rows[:after].T


@dataclass
class LaneState:
    """W_t and the keys of all rounds so far, per edited layer. Matrices are replaced, never changed in place.

    `weights` are the matrices in use; `sums` are those from which the next round continues: W_0 and all updates. They
    are the same matrices unless a guard acts on the accumulated change. `memory` is what the rounds left for later ones
    besides, and what is worn besides matrices.
    """

    weights: dict[int, Float[Tensor, "d_out d_in"]]
    history: dict[int, Float[Tensor, "d_in n"]]
    sums: dict[int, Float[Tensor, "d_out d_in"]]
    shelves: dict[int, Shelf] = field(default_factory=dict, repr=False, compare=False)
    memory: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def base(cls, lm: LanguageModel, layers: Sequence[int]) -> LaneState:
        """The unedited model."""
        weights = {layer: lm.original(layer) for layer in layers}
        return cls(weights, {layer: w.new_zeros(w.shape[1], 0) for layer, w in weights.items()}, dict(weights))

    def restore(self, lm: LanguageModel) -> None:
        """Become the unedited model again."""
        self.weights = {layer: lm.original(layer) for layer in self.weights}
        self.history = {layer: w.new_zeros(w.shape[1], 0) for layer, w in self.weights.items()}
        self.sums, self.shelves, self.memory = dict(self.weights), {}, {}

    @property
    def worn(self) -> Worn:
        """What the lane wears, for `lm.worn`: the matrices in use, and the extras that its memory describes."""
        return Worn(self.weights, extras(self.memory))

    def apply(self, round_: LayerUpdates) -> None:
        """Add a round. Both live runs and replays use this function, in the order of the edit."""
        for layer, delta in round_.updates.items():
            total = self.sums[layer] = added(self.sums[layer], delta)
            correction = round_.corrections.get(layer)
            self.weights[layer] = total if correction is None else added(total, correction)
            shelf = self.shelves.setdefault(layer, Shelf())
            self.history[layer] = shelf.add(self.history[layer], round_.keys[layer])
        self.memory = {**self.memory, **round_.memory}

    def copy(self) -> LaneState:
        """A branch: it shares the matrices until one of the two is edited."""
        return LaneState(dict(self.weights), dict(self.history), dict(self.sums), memory=dict(self.memory))

    def digest(self, layer: int) -> str:
        """The first 16 hex digits of SHA-256 of a layer's W_t: equal digests, equal bits."""
        return hashlib.sha256(_bytes(self.weights[layer])).hexdigest()[:16]

    def digests(self, layers: Sequence[int]) -> dict[str, str]:
        """The digests of these layers, and under "memory" that of all the lane remembers, if it wears extras."""
        of_layers = {str(layer): self.digest(layer) for layer in layers}
        return of_layers | ({"memory": self.memory_digest()} if self.worn.extras else {})

    def memory_digest(self) -> str:
        """The first 16 hex digits of SHA-256 of what the lane remembers, names included."""
        digest = hashlib.sha256()
        for name in sorted(self.memory):
            digest.update(f"{name} {tuple(self.memory[name].shape)} {self.memory[name].dtype}".encode())
            digest.update(_bytes(self.memory[name]))
        return digest.hexdigest()[:16]


def _bytes(numbers: Tensor) -> memoryview:
    return numbers.contiguous().cpu().reshape(-1).view(torch.uint8).numpy().data
