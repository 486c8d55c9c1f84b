"""Runs some layers in float32, for measures of changes that a narrow type would round away.

In bfloat16 a state has 8 significant bits: the effect of a small edit is less than one rounding step, and rounding
looks like an edit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from core.models.language_model import LanguageModel


@contextmanager
def widened(lm: LanguageModel, first: int, last: int) -> Iterator[None]:
    """Inside the block, layers `first` to `last` compute in `lm.master_dtype`, and edited matrices are not rounded.

    Lower layers compute in the model's type as usual; the output of `last` is rounded to it. A model that already has
    this type is unchanged. Afterwards the weights are the same tensors as before.
    """
    wide = lm.master_dtype
    if lm.dtype == wide:
        yield
        return
    layers = lm.layers[first : last + 1]
    narrow = [
        (tensor, tensor.data)
        for layer in layers
        for tensor in (*layer.parameters(), *layer.buffers())
        if tensor.is_floating_point() and tensor.dtype != wide
    ]

    def enter(_: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        return cast(args, wide), cast(kwargs, wide)

    def leave(_: nn.Module, __: tuple, output: Any) -> Any:
        return cast(output, lm.dtype)

    handles = [layer.register_forward_pre_hook(enter, with_kwargs=True) for layer in layers]
    handles.append(layers[-1].register_forward_hook(leave))
    try:
        for tensor, data in narrow:
            tensor.data = data.to(wide)
        yield
    finally:
        for tensor, data in narrow:
            tensor.data = data
        for handle in handles:
            handle.remove()


def cast(value: Any, dtype: torch.dtype) -> Any:
    """The value with all floating-point tensors in it, however deep, of this type."""
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, tuple):
        return tuple(cast(item, dtype) for item in value)
    if isinstance(value, Mapping):
        return {name: cast(item, dtype) for name, item in value.items()}
    return value
