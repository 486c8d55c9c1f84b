"""Earlier keys of a lane, kept between rounds, so that a round costs its own size whatever went before it.

Keys are taken up in blocks of a fixed size, counted from the first one on: so a lane that is rebuilt gets the bits of
one that was never stopped. What a round's solve makes of its own keys is what the next one needs of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Float

from core.editing.failure import EditFailure
from core.editing.history.folding import LINES, Folded, fold
from core.editing.history.woodbury import CHUNK, Bordered
from core.editing.linalg.metric import Metric, Summed
from core.editing.linalg.solve import by_factor
from core.lazy import torch

Seen = Callable[[Any], Any]  # keys [d_in, n] as the metric is to have them: projected, say


@dataclass(frozen=True, eq=False)
class Ahead:
    """What a metric became by a block of keys that may become history."""

    before: Bordered
    block: Float[torch.Tensor, "d_in n"]
    after: Bordered


@dataclass
class Growth:
    """What is kept between rounds of a metric with earlier keys.

    `wholes` are the lines of keys that were made one with the metric; `anchors` (what the earliest keys became) each
    with the metric that goes on from there, and its lines of later keys; `ahead` what rounds took up of their own.
    """

    wholes: list[Folded] = field(default_factory=list)
    anchors: list[tuple[Any, Bordered, list[Folded]]] = field(default_factory=list)
    ahead: list[list[Ahead]] = field(default_factory=list)

    def metric(
        self, anchor: Any, base: Any, start: Callable[[], Bordered], rest: Float[torch.Tensor, "d_in n"], seen: Seen
    ) -> Protecting:
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
            self.ahead.clear()
            entry = (anchor, start(), [])
            self.anchors = [*left, entry][-LINES:]
        _, first, known = entry

        def step(before: Bordered, block: Float[torch.Tensor, "d_in n"]) -> Bordered:
            return self.found(before, block) or before.plus(seen(apart(block)))

        return Protecting(self, *fold(known, rest, CHUNK, first, step), seen)

    def found(self, before: Bordered, block: Float[torch.Tensor, "d_in n"]) -> Bordered | None:
        """What a round already made of this block."""
        for entry in (entry for taken in self.ahead for entry in taken):
            if entry.before is before and torch.equal(entry.block, block):
                return entry.after
        return None

    def keep(self, taken: list[Ahead]) -> None:
        """Remember what a round took up."""
        self.ahead = [*self.ahead, taken][-LINES:]


class Protecting(Metric):
    """A + K_p K_pᵀ for all earlier keys: whole blocks of them in `whole`, and the `few` after those.

    The keys of a round are given as the lane will keep them: they go through `seen` here, in the blocks in which they
    will be history, and the next round finds what they became.
    """

    def __init__(self, growth: Growth, whole: Bordered, few: Float[torch.Tensor, "d_in r"], seen: Seen):
        self.layer = whole.layer
        self.growth, self.whole, self.few, self.seen = growth, whole, few, seen

    @property
    def notes(self) -> Sequence[str]:
        return self.whole.notes

    @property
    def count(self) -> int:
        """How many keys stand beside A's factor."""
        return self.whole.count + self.few.shape[1]

    def solve(self, right: Float[torch.Tensor, "d_in b"]) -> Float[torch.Tensor, "d_in b"]:
        return self.whole.plus(self.seen(apart(self.few)), for_good=False).solve(right)

    def solve_keys(self, keys: Float[torch.Tensor, "d_in b"]) -> Float[torch.Tensor, "d_in b"]:
        return self._taken(keys).newest(keys.shape[1])[0]

    def solve_with_keys(self, keys: Float[torch.Tensor, "d_in b"]) -> Float[torch.Tensor, "d_in b"]:
        inner, lower = self._taken(keys).newest(keys.shape[1])
        return by_factor(lower, inner.T).T

    def _taken(self, keys: Float[torch.Tensor, "d_in b"]) -> Bordered:
        """A + K_p K_pᵀ + K Kᵀ."""
        columns, found, taken = torch.cat([self.few, keys], 1), self.whole, []
        for first in range(0, columns.shape[1], CHUNK):
            block = columns[:, first : first + CHUNK]
            full = block.shape[1] == CHUNK
            known = self.growth.found(found, block) if full else None
            try:
                after = known or found.plus(self.seen(apart(block)), for_good=full, of_facts=True)
            except EditFailure as failure:
                fact = -1 if failure.fact is None else failure.fact + first - self.few.shape[1]
                raise EditFailure(str(failure), fact if fact >= 0 else None, failure.too_large) from None
            if full:
                taken.append(Ahead(found, block, after))
            found = after
        self.growth.keep(taken)
        return found


def apart(block: Float[torch.Tensor, "d n"]) -> Float[torch.Tensor, "d n"]:
    """The columns in a place of their own, one after the other: how and where numbers lie in memory may change the last
    bit of a product."""
    return block.T.clone(memory_format=torch.contiguous_format).T


def protecting(
    growth: Growth,
    base: Metric,
    history: Float[torch.Tensor, "d_in n"],
    seen: Seen,
    matrix: Callable[[], Float[torch.Tensor, "d_in d_in"]],
    dual: int,
) -> Protecting:
    """A + K Kᵀ for all earlier keys K, with `matrix()` for A itself.

    Up to `dual` keys stay beside A's factor. From then on every d_in / 4 of them are added to A, which is factored
    anew: where few are left beside it, a solve costs what it did at first. What a replay would give, bit for bit.
    """
    anchor, rest = base, history

    def summed(before: Metric, block: Float[torch.Tensor, "d_in n"]) -> Metric:
        return (before if isinstance(before, Summed) else Summed(matrix(), base.layer)).plus(seen(block))

    if history.shape[1] >= dual:
        anchor, rest = fold(growth.wholes, history, max(len(history) // 4, 1), base, summed)
        rest = history[:, history.shape[1] - rest.shape[1] :]
    return growth.metric(anchor, base, lambda: Bordered(anchor), rest, seen)
