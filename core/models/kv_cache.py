"""A frozen KV cache: keys and values of the tokens before a cut, computed once and used in many passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicLayer


class FrozenLayer(DynamicLayer):
    """A layer's keys and values [row, head, token, d]; those of new tokens are appended for one pass and not stored."""

    keys: Tensor
    values: Tensor

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


def frozen_cache(layers: Sequence[tuple[Tensor, Tensor]]) -> Cache:
    """A cache of these keys and values, layer by layer, that does not grow."""
    return Cache(layers=[FrozenLayer(keys, values) for keys, values in layers])


def keys_and_values(layer: object) -> tuple[Tensor, Tensor]:
    """The keys and values [row, head, token, d] that a layer of a cache holds after a pass."""
    if not isinstance(layer, CacheLayerMixin) or layer.keys is None or layer.values is None:
        raise TypeError(f"{type(layer).__name__} holds no keys and values of tokens")
    return layer.keys, layer.values
