"""Shards of WISE's side memory, and their merging by TIES (Yadav et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from core.editing.extras.blocks import Memory, block
from core.editing.extras.wise import FLOOR, MERGED, MERGED_FLOOR, VALUES, shards

EARLIER = 0.6  # the weight of what was merged before, when more is merged; the new shards share the rest


def merged(deltas: Sequence[Float[Tensor, "*shape"]], weights: Sequence[float], keep: float) -> Float[Tensor, "*shape"]:
    """One difference from several: of each the `keep` largest share of entries; then, entry by entry, the sign of the
    weighted sum, and the weighted mean of those that have it.

    The divisor is the sum of the weights that agree: an entry that one difference alone has keeps its value.
    """
    trimmed = torch.stack([largest(delta, keep) for delta in deltas])
    scale = torch.tensor(list(weights), dtype=trimmed.dtype).reshape(-1, *[1] * (trimmed.ndim - 1))
    sign = (scale * trimmed).sum(0).sign()
    agree = (trimmed.sign() == sign) & (trimmed != 0)
    total = (scale * agree).sum(0)
    return (scale * trimmed * agree).sum(0) / total.where(total > 0, torch.ones_like(total))


def largest(delta: Float[Tensor, "*shape"], keep: float) -> Float[Tensor, "*shape"]:
    """The entries of largest size, this share of all; the others become 0. A masked difference with fewer entries that
    are not 0 stays as it is."""
    sizes = delta.abs().reshape(-1)
    count = round(keep * len(sizes))
    if count >= int((sizes > 0).sum()):
        return delta
    least = sizes.topk(max(count, 1)).values[-1]
    return delta.where(delta.abs() >= least, torch.zeros_like(delta))


def opened(memory: Memory, number: int) -> tuple[Bool[Tensor, "o i"], Float[Tensor, "o i"], float] | None:
    """(mask, D, smallest d) of the shard with this number, if it has begun."""
    return next(((mask, delta, floor) for own, mask, delta, floor in shards(memory) if own == number), None)


def shard_as(number: int, values: Tensor, floor: float) -> dict[str, Tensor]:
    """What the memory holds of a shard, besides its mask."""
    return {block(VALUES, number): values.clone(), block(FLOOR, number): torch.tensor([floor], dtype=torch.float64)}


def merging(memory: Memory, keep: float) -> dict[str, Tensor]:
    """The merged memory of what was merged before and the shards since; these have no values any more."""
    new = shards(memory)
    floors, deltas = [floor for *_, floor in new], [delta for _, _, delta, _ in new]
    weights = [1.0] * len(deltas)
    if MERGED in memory:
        weights = [EARLIER, *[(1 - EARLIER) / len(deltas)] * len(deltas)]
        deltas, floors = [memory[MERGED], *deltas], [float(memory[MERGED_FLOOR]), *floors]
    result = {MERGED: merged(deltas, weights, keep), MERGED_FLOOR: torch.tensor([min(floors)], dtype=torch.float64)}
    for number, *_ in new:
        result |= shard_as(number, torch.zeros(0), torch.inf)
    return result
