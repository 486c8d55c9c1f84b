"""Keys and values that are kept: prefixes that many rows share are run once, and prefixes before a cut once for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import Cache, DynamicLayer

WORTH_SHARING = 4  # rows and tokens; below that, a pass of its own costs more than it saves


class KeptLayer(DynamicLayer):
    """A layer's keys and values [row, head, token, d]; new ones are joined to them for one pass and forgotten."""

    def __init__(self, keys: Tensor, values: Tensor):
        super().__init__()
        self.keys, self.values = keys, values
        self.dtype, self.device = keys.dtype, keys.device
        self.is_initialized = True

    def get_seq_length(self) -> int:
        return self.keys.shape[-2]  # also of layers that are not run, whose keys were thrown away

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        if self.get_seq_length() == 0:
            return key_states, value_states
        return torch.cat([self.keys, key_states], -2), torch.cat([self.values, value_states], -2)


def kept(layers: Sequence[tuple[Tensor, Tensor]]) -> Cache:
    """A cache that gives these keys and values, layer by layer, and never grows."""
    return Cache(layers=[KeptLayer(keys, values) for keys, values in layers])


def repeated(cache: DynamicCache, rows: int) -> DynamicCache:
    """The cache of one row as that of `rows` rows, which grows as usual."""
    result = DynamicCache()
    for index, layer in enumerate(cache.layers):
        result.update(layer.keys.expand(rows, -1, -1, -1), layer.values.expand(rows, -1, -1, -1), index)
    return result


def shared_start(rows: Sequence[Sequence[int]]) -> int:
    """How many ids all rows begin with, leaving each at least one of its own; 0 where sharing is not worth it."""
    if len(rows) < WORTH_SHARING:
        return 0
    first, last = min(rows), max(rows)  # lexicographically: what these two share, all share
    most = min(len(row) for row in rows) - 1
    count = next((i for i in range(most) if first[i] != last[i]), most)
    return count if count >= WORTH_SHARING else 0
