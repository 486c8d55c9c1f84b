"""Earlier keys in the cost of an update, so that a round costs its own size whatever went before it.

A + K Kᵀ is solved by Woodbury: G = A⁻¹ K and the Cholesky factor of I + Kᵀ G are kept, and new keys add columns to
the one and a border to the other. They are taken up in blocks of a fixed size, counted from the first key on: so a
lane that is rebuilt gets the bits of one that was never stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Float

from core.editing.folding import LINES, Folded, fold
from core.editing.metric import Metric, Summed
from core.editing.solve import by_factor, one_plus
from core.lazy import torch

CHUNK = 50  # keys that are taken up at a time


Seen = Callable[[Any], Any]  # keys [d_in, n] as the metric is to have them: projected, say


class Room:
    """Buffers with space for more keys. `filled` says how many are there for good."""

    def __init__(self, size: int, like: Float[torch.Tensor, "d_in _"]):
        self.filled = 0
        self.carried = like.new_zeros(size, like.shape[0])
        self.lower = like.new_zeros(size, size)


class Bordered(Metric):
    """A + K Kᵀ for the first `count` keys of a room: `carried` is G = A⁻¹ K [d_in, count].

    Others may share the room: what is there for good stays, what is beyond it holds until the next `plus`.
    """

    def __init__(self, base: Metric, room: Room | None = None, count: int = 0):
        self.layer, self.base, self.count = base.layer, base, count
        self.notes = base.notes
        self._room = room

    @property
    def carried(self) -> Float[torch.Tensor, "d_in count"]:
        return self._room.carried[: self.count].T

    @property
    def lower(self) -> Float[torch.Tensor, "count count"]:
        return self._room.lower[: self.count, : self.count]

    def plus(self, keys: Float[torch.Tensor, "d_in n"], for_good: bool = True) -> Bordered:
        """A + K Kᵀ + k kᵀ: d_in · count · n work besides A⁻¹ k."""
        new = keys.shape[1]
        if not new:
            return self
        found, before, after = self.base.solve(keys), self.count, self.count + new
        room = self._with_space(after if for_good else before, keys)
        corner = keys.T @ found
        if before:
            side = torch.linalg.solve_triangular(self.lower, self.carried.T @ keys, upper=False)
            corner -= side.T @ side
            room.lower[before:after, :before] = side.T
        room.lower[before:after, before:after] = one_plus(corner, self.layer)
        room.carried[before:after] = found.T
        if for_good:
            room.filled = after
        return Bordered(self.base, room, after)

    def solve(self, right: Float[torch.Tensor, "d_in b"]) -> Float[torch.Tensor, "d_in b"]:
        found = self.base.solve(right)
        if not self.count:
            return found
        return found - self.carried @ by_factor(self.lower, self.carried.T @ right)

    def _with_space(self, kept: int, like: Float[torch.Tensor, "d_in _"]) -> Room:
        """A room for `kept` keys and some that do not stay, with this one's in it: its own, unless that is full or went
        on without it.

        How much space is taken follows from the number of keys alone, so that all sums are made in the same order.
        """
        room, size = self._room, 4 * CHUNK
        while size < kept + CHUNK:
            size *= 2
        if room is None or room.filled != self.count or len(room.lower) != size:
            room = Room(size, like)
            if self.count:
                room.carried[: self.count], room.lower[: self.count, : self.count] = self.carried.T, self.lower
                room.filled = self.count
        return room


@dataclass
class Growth:
    """What is kept between rounds of a metric with earlier keys.

    `wholes` are the lines of keys that were made one with the metric; `anchors` (what the earliest keys became) each
    with the metric that goes on from there, and its lines of later keys.
    """

    wholes: list[Folded] = field(default_factory=list)
    anchors: list[tuple[Any, Bordered, list[Folded]]] = field(default_factory=list)

    def metric(
        self, anchor: Any, base: Any, start: Callable[[], Bordered], rest: Float[torch.Tensor, "d_in n"], seen: Seen
    ) -> Bordered:
        """`start()`, made once per anchor, and the keys that came after it; each block goes through `seen` first.

        `base` is the anchor of lines that have no other yet.
        """
        entry = next((one for one in self.anchors if one[0] is anchor), None)
        if entry is None:
            reached = [line.value for line in self.wholes]
            left = [
                one
                for one in self.anchors
                if any(one[0] is value for value in reached) or (one[0] is base and len(one[2]) > 1)
            ]
            entry = (anchor, start(), [])
            self.anchors = [*left, entry][-LINES:]
        _, first, known = entry
        found, few = fold(known, rest, CHUNK, first, lambda before, block: before.plus(seen(block)))
        return found.plus(seen(few), for_good=False)


def protecting(
    growth: Growth,
    base: Metric,
    history: Float[torch.Tensor, "d_in n"],
    seen: Seen,
    matrix: Callable[[], Float[torch.Tensor, "d_in d_in"]],
    dual: int,
) -> Metric:
    """A + K Kᵀ for all earlier keys K, with `matrix()` for A itself.

    Up to `dual` keys stay beside A's factor. From then on every d_in / 4 of them are added to A, which is factored
    anew: where few are left beside it, a solve costs what it did at first. What a replay would give, bit for bit.
    """
    if not history.shape[1]:
        return base
    anchor, rest = base, history
    if history.shape[1] >= dual:
        size = max(len(history) // 4, 1)
        anchor, rest = fold(
            growth.wholes,
            history,
            size,
            base,
            lambda before, block: (Summed(matrix(), base.layer) if before is base else before).plus(seen(block)),
        )
        rest = history[:, history.shape[1] - rest.shape[1] :]
    return growth.metric(anchor, base, lambda: Bordered(anchor), rest, seen)
