"""Earlier keys in the cost of an update: A + K Kᵀ, by a factor of A and a border that grows with the keys.

A + K Kᵀ is solved by Woodbury: G = A⁻¹ K and the Cholesky factor of I + Kᵀ G are kept, and new keys add columns to
the one and a border to the other.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float

from core.editing.linalg.metric import Metric
from core.editing.linalg.solve import by_factor, one_plus
from core.lazy import torch

CHUNK = 100  # keys that are taken up at a time


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
        self._room = room

    @property
    def notes(self) -> Sequence[str]:
        return self.base.notes

    @property
    def room(self) -> Room:
        """Where its keys are; there is none before the first key."""
        if self._room is None:
            raise IndexError("no keys were taken up yet")
        return self._room

    @property
    def carried(self) -> Float[torch.Tensor, "d_in count"]:
        return self.room.carried[: self.count].T

    @property
    def lower(self) -> Float[torch.Tensor, "count count"]:
        return self.room.lower[: self.count, : self.count]

    def plus(self, keys: Float[torch.Tensor, "d_in n"], for_good: bool = True, of_facts: bool = False) -> Bordered:
        """A + K Kᵀ + k kᵀ: d_in · count · n work besides A⁻¹ k. An `EditFailure` about keys `of_facts` says which."""
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
        room.lower[before:after, before:after] = one_plus(corner, self.layer, of_facts)
        room.carried[before:after] = found.T
        if for_good:
            room.filled = after
        return Bordered(self.base, room, after)

    def solve(self, right: Float[torch.Tensor, "d_in b"]) -> Float[torch.Tensor, "d_in b"]:
        found = self.base.solve(right)
        if not self.count:
            return found
        return found - self.carried @ by_factor(self.lower, self.carried.T @ right)

    def newest(self, count: int) -> tuple[Float[torch.Tensor, "d_in b"], Float[torch.Tensor, "b b"]]:
        """(B⁻¹ k of the last `count` keys k, where B is the metric without them; the Cholesky factor of I + kᵀ B⁻¹ k):
        both from what taking them up has left, with no further solve by A."""
        before, carried, lower = self.count - count, self.carried, self.lower
        found, corner = carried[:, before:], lower[before:, before:]
        if before:
            side = torch.linalg.solve_triangular(lower[:before, :before].T, lower[before:, :before].T, upper=True)
            found = found - carried[:, :before] @ side
        return found, corner

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
