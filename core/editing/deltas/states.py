"""States of lanes at any round, replayed from a ledger.

Recently used states stay in a cache; later rounds of the same lane are computed from them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

import torch
from torch import Tensor

from core.editing.deltas.ledger import Ledger
from core.editing.lane.state import LaneState
from core.models.language_model import LanguageModel
from core.recent import Recent

Worn = Callable[[str, Mapping[int, Tensor]], Mapping[int, Tensor]]


def nothing() -> None:
    """A heartbeat that does nothing."""


class States:
    """The states of the lanes of one ledger, on the model `lm`: bit for bit as they were live."""

    def __init__(self, lm: LanguageModel, ledger: Ledger, recent: Recent):
        self._lm, self._ledger, self._recent = lm, ledger, recent

    def at(
        self,
        lane: str,
        round_: int,
        layers: Sequence[int] = (),
        without: tuple[int, ...] = (),
        worn: Worn | None = None,
        beat: Callable[[], None] = nothing,
    ) -> LaneState:
        """A lane after a round (0: the unedited model), as a copy that the caller may edit.

        The state has the layers that the rounds edited, in addition to `layers`. `without` and `worn` are as in
        `Ledger.rebuild`. `beat` is called before each replayed round; it may raise.
        """
        # A question may be asked within a measurement, whose inference tensors cannot be edited.
        with torch.inference_mode(False), torch.no_grad():
            state = self._without(lane, round_, without, worn, beat) if without else self._after(lane, round_, beat)
            base = LaneState.base(self._lm, [layer for layer in layers if layer not in state.weights])
            order = list(dict.fromkeys([*layers, *state.weights]))
            weights, history, sums = base.weights | state.weights, base.history | state.history, base.sums | state.sums
            return LaneState(
                {layer: weights[layer] for layer in order},
                {layer: history[layer] for layer in order},
                {layer: sums[layer] for layer in order},
                dict(state.shelves),
                dict(state.memory),
            )

    def _after(self, lane: str, round_: int, beat: Callable[[], None]) -> LaneState:
        at, state = self._nearest(lane, round_)
        if at < round_:
            for _ in self._ledger.replay(self._lm, lane, state, at, round_, beat):
                pass
            version = self._version(lane, round_)
            if version is not None:
                self._recent.put(self._key(lane, round_), copied(state), version, size(state))
        return state

    def _without(
        self, lane: str, round_: int, without: tuple[int, ...], worn: Worn | None, beat: Callable[[], None]
    ) -> LaneState:
        return self._recent.made(
            self._key(lane, round_, without),
            lambda: self._ledger.rebuild(self._lm, lane, (), round_, without, worn, beat),
            self._version(lane, round_),
            size,
        )

    def _nearest(self, lane: str, round_: int) -> tuple[int, LaneState]:
        """The last round of the lane up to this one whose state is cached, and a copy of that state."""
        prefix = self._key(lane, 0)[:-2]
        keys = [key for key in self._recent if isinstance(key, tuple) and key[:-2] == prefix]
        held = [number for *_, number, without in keys if not without]
        for number in sorted((number for number in held if number <= round_), reverse=True):
            state = self._recent.get(self._key(lane, number), self._version(lane, number))
            if state is not None:
                return number, copied(state)
        return 0, LaneState.base(self._lm, ())

    def _key(self, lane: str, round_: int, without: tuple[int, ...] = ()) -> tuple[Hashable, ...]:
        return "state", self._lm.fingerprint, str(self._lm.device), str(self._ledger.folder), lane, round_, without

    def _version(self, lane: str, round_: int) -> Hashable:
        """A value that changes when a round is undone and edited again; None if the round has no file."""
        try:
            about = self._ledger.path(lane, round_).stat()
        except FileNotFoundError:
            return None
        return about.st_mtime_ns, about.st_size


def copied(state: LaneState) -> LaneState:
    """A state that shares the matrices, and the space for more keys, until one of the two is edited."""
    weights, history, sums = dict(state.weights), dict(state.history), dict(state.sums)
    return LaneState(weights, history, sums, dict(state.shelves), dict(state.memory))


def size(state: LaneState) -> int:
    """Bytes of a state's tensors; shared tensors count once."""
    tensors = [tensor for part in (state.weights, state.sums, state.history) for tensor in part.values()]
    tensors += state.memory.values()
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(storages.values())
