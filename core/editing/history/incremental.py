"""The keys of earlier rounds, cached between rounds, so that the cost of a round does not depend on the rounds before.

Keys are added in blocks of a fixed size, counted from the first key. So a lane that is rebuilt gets the same bits as
one that was never stopped. The next round reuses what a round's solve computed from its own keys.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Float

from core.editing.failure import EditFailure
from core.editing.history.folding import LINES, Folded, fold
from core.editing.history.woodbury import CHUNK, IncrementalWoodbury
from core.editing.linalg.metric import Metric, Summed
from core.editing.linalg.solve import by_factor
from core.lazy import torch

Projecting = Callable[[Any], Any]  # of keys [d_in, n], before they enter the metric


@dataclass(frozen=True, eq=False)
class Precomputed:
    """The metric after a block of keys that may become history."""

    before: IncrementalWoodbury
    block: Float[torch.Tensor, "d_in n"]
    after: IncrementalWoodbury


@dataclass
class KeyHistory:
    """What is cached between rounds of a metric with earlier keys.

    `wholes` are the sequences of keys that were added to the metric's matrix. `anchors` are the metrics after the
    earliest keys, each with the incremental metric that starts from it and the sequences of later keys. `precomputed`
    is what rounds computed from their own keys.
    """

    wholes: list[Folded] = field(default_factory=list)
    anchors: list[tuple[Any, IncrementalWoodbury, list[Folded]]] = field(default_factory=list)
    precomputed: list[list[Precomputed]] = field(default_factory=list)

    def metric(
        self,
        anchor: Any,
        base: Any,
        start: Callable[[], IncrementalWoodbury],
        rest: Float[torch.Tensor, "d_in n"],
        project: Projecting,
    ) -> Protecting:
        """`start()`, built once per anchor, plus the later keys; `project` is applied to each block first.

        `base` is the anchor of sequences that have no other yet.
        """
        entry = next((known for known in self.anchors if known[0] is anchor), None)
        if entry is None:
            reached = [line.value for line in self.wholes]
            current = [
                known
                for known in self.anchors
                if any(known[0] is value for value in reached) or (known[0] is base and len(known[2]) > 1)
            ]
            self.precomputed.clear()
            entry = (anchor, start(), [])
            self.anchors = [*current, entry][-LINES:]
        _, first, known = entry

        def step(before: IncrementalWoodbury, block: Float[torch.Tensor, "d_in n"]) -> IncrementalWoodbury:
            return self.lookup(before, block) or before.plus(project(apart(block)))

        return Protecting(self, *fold(known, rest, CHUNK, first, step), project)

    def lookup(self, before: IncrementalWoodbury, block: Float[torch.Tensor, "d_in n"]) -> IncrementalWoodbury | None:
        """The precomputed metric after this block, if a round has already computed it."""
        for entry in (entry for entries in self.precomputed for entry in entries):
            if entry.before is before and torch.equal(entry.block, block):
                return entry.after
        return None

    def keep(self, entries: list[Precomputed]) -> None:
        """Store what a round computed."""
        self.precomputed = [*self.precomputed, entries][-LINES:]


class Protecting(Metric):
    """A + K_p K_pᵀ for all earlier keys: whole blocks of them in `whole`, and the `few` after those.

    The keys of a round have the type and order in which the lane will store them. `project` is applied here, in the
    same blocks as in the history, so that the next round can reuse the result.
    """

    def __init__(
        self,
        key_history: KeyHistory,
        whole: IncrementalWoodbury,
        few: Float[torch.Tensor, "d_in r"],
        project: Projecting,
    ):
        self.layer = whole.layer
        self.key_history, self.whole, self.few, self.project = key_history, whole, few, project

    @property
    def notes(self) -> Sequence[str]:
        return self.whole.notes

    @property
    def count(self) -> int:
        """The number of keys that are not in A's factor."""
        return self.whole.count + self.few.shape[1]

    def solve(self, right: Float[torch.Tensor, "d_in b"]) -> Float[torch.Tensor, "d_in b"]:
        return self.whole.plus(self.project(apart(self.few)), for_good=False).solve(right)

    def solve_keys(self, keys: Float[torch.Tensor, "d_in b"]) -> Float[torch.Tensor, "d_in b"]:
        return self._with_keys(keys).newest(keys.shape[1])[0]

    def solve_with_keys(self, keys: Float[torch.Tensor, "d_in b"]) -> Float[torch.Tensor, "d_in b"]:
        inner, lower = self._with_keys(keys).newest(keys.shape[1])
        return by_factor(lower, inner.T).T

    def _with_keys(self, keys: Float[torch.Tensor, "d_in b"]) -> IncrementalWoodbury:
        """A + K_p K_pᵀ + K Kᵀ."""
        columns, inverse, computed = torch.cat([self.few, keys], 1), self.whole, []
        for first in range(0, columns.shape[1], CHUNK):
            block = columns[:, first : first + CHUNK]
            full = block.shape[1] == CHUNK
            known = self.key_history.lookup(inverse, block) if full else None
            try:
                after = known or inverse.plus(self.project(apart(block)), for_good=full, of_facts=True)
            except EditFailure as failure:
                fact = -1 if failure.fact is None else failure.fact + first - self.few.shape[1]
                raise EditFailure(str(failure), fact if fact >= 0 else None, failure.too_large) from None
            if full:
                computed.append(Precomputed(inverse, block, after))
            inverse = after
        self.key_history.keep(computed)
        return inverse


def apart(block: Float[torch.Tensor, "d n"]) -> Float[torch.Tensor, "d n"]:
    """A contiguous copy of the columns, in column order: the memory layout may change the last bit of a product."""
    return block.T.clone(memory_format=torch.contiguous_format).T


def protecting(
    key_history: KeyHistory,
    base: Metric,
    history: Float[torch.Tensor, "d_in n"],
    project: Projecting,
    matrix: Callable[[], Float[torch.Tensor, "d_in d_in"]],
    woodbury_limit: int,
) -> Protecting:
    """A + K Kᵀ for all earlier keys K, with `matrix()` for A itself.

    Up to `woodbury_limit` keys are handled by Woodbury. After that every d_in / 4 of them are added to A, which is
    factored again, so that the cost of a solve stays bounded. A replay gives the same bits.
    """
    anchor, rest = base, history

    def summed(before: Metric, block: Float[torch.Tensor, "d_in n"]) -> Metric:
        return (before if isinstance(before, Summed) else Summed(matrix(), base.layer)).plus(project(block))

    if history.shape[1] >= woodbury_limit:
        anchor, rest = fold(key_history.wholes, history, max(len(history) // 4, 1), base, summed)
        rest = history[:, history.shape[1] - rest.shape[1] :]
    return key_history.metric(anchor, base, lambda: IncrementalWoodbury(anchor), rest, project)
