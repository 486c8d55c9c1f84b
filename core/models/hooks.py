"""Hooks on a forward pass: capture activations, leave parts out, skip layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from inspect import signature
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers.cache_utils import Cache

from core.models.language_model import LanguageModel

Site = tuple[str, int]  # where: "key" | "down" | "block", in which layer


class _Enough(Exception):
    """All requested activations were captured: higher layers need not run."""


@contextmanager
def captured(lm: LanguageModel, sites: Sequence[Site], n_rows: int) -> Iterator[dict[Site, Tensor]]:
    """Collect the states at `sites` during the forward pass in the block. The pass ends when all have been captured."""
    states: dict[Site, Tensor] = {}

    def keep(where: Site, value: Tensor | tuple) -> None:
        value = value[0] if isinstance(value, tuple) else value
        states[where] = value.reshape(n_rows, -1, value.shape[-1])  # some FFNs flatten rows and tokens
        if len(states) == len(set(sites)):
            raise _Enough

    handles = []
    for site, layer in sites:
        if site == "key":
            handles.append(
                lm.down(layer).register_forward_pre_hook(lambda _, args, where=(site, layer): keep(where, args[0]))
            )
        elif site in ("down", "ffn", "block"):
            part = lm.layers[layer] if site == "block" else lm.down(layer) if site == "down" else lm.ffn_end(layer)
            handles.append(part.register_forward_hook(lambda _, __, out, where=(site, layer): keep(where, out)))
        else:
            raise ValueError(f'there is no site {site!r}: use "key", "down", "ffn" or "block"')
    try:
        yield states
    except _Enough:
        pass
    finally:
        for handle in handles:
            handle.remove()


def cache_argument(model: nn.Module) -> str:
    """The name of the cache argument of a model's forward pass: `past_key_values`; `cache` from transformers 5.24
    on."""
    return "cache" if "cache" in signature(model.forward).parameters else "past_key_values"


def logits_at(
    lm: LanguageModel,
    inputs: dict,
    rows: Sequence[int] | Int[Tensor, " n"],
    columns: Sequence[int] | Int[Tensor, " n"],
    cache: Cache | None = None,
) -> Float[Tensor, "n vocabulary"]:
    """Logits at the given (row, column) positions of a forward pass, in float32 or wider; only these positions go
    through the head.

    With a `cache` the pass continues after the tokens in it, and may append to it.
    """
    state = {"use_cache": False} if cache is None else {cache_argument(lm.model): cache, "use_cache": True}
    at_rows = torch.as_tensor(rows, dtype=torch.long, device=lm.device)
    at_columns = torch.as_tensor(columns, dtype=torch.long, device=lm.device)

    def pick(_: object, args: tuple) -> tuple:
        return (args[0][at_rows, at_columns].unsqueeze(0), *args[1:])

    handle = lm.head.register_forward_pre_hook(pick)
    try:
        logits = lm.model(**inputs, **state).logits[0]
    finally:
        handle.remove()
    return logits.to(lm.master_dtype)


@contextmanager
def last_mlp_at(lm: LanguageModel, rows: Tensor, columns: Tensor) -> Iterator[None]:
    """The FFN of the last layer runs on these tokens only: its output for the others is never used. With hooks of an
    extra in that layer it runs on all: they find the ends of prompts by their place in the pass."""
    if not lm.anatomy.mlp or lm.n_layers - 1 in lm.hooked:
        yield
        return
    shape: list[torch.Size] = []

    def pick(_: object, args: tuple) -> tuple:
        shape.append(args[0].shape)
        return (args[0][rows, columns].unsqueeze(0), *args[1:])

    def put_back(_: object, __: tuple, output: Tensor) -> Tensor:
        return output.new_zeros(shape.pop()).index_put((rows, columns), output[0])

    mlp = lm.layers[-1].get_submodule(lm.anatomy.mlp)
    handles = [mlp.register_forward_pre_hook(pick), mlp.register_forward_hook(put_back)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def probed(
    lm: LanguageModel, layers: Sequence[int], n_rows: int
) -> Iterator[tuple[dict[int, Tensor], dict[int, Tensor]]]:
    """(inputs [rows, tokens, d_in], zeros that are added to the outputs) of down-projections, once a pass has run.

    A gradient in such zeros is that in the output. Layers below the first need no gradient and take no part in the
    backward pass.
    """
    keys: dict[int, Tensor] = {}
    probes: dict[int, Tensor] = {}

    def probe(layer: int) -> Callable[..., Tensor]:
        def hook(_: Any, args: tuple, output: Tensor) -> Tensor:
            keys[layer] = args[0].detach().reshape(n_rows, -1, args[0].shape[-1])
            probes[layer] = torch.zeros_like(output, requires_grad=True)
            return output + probes[layer]

        return hook

    with ExitStack() as stack:
        for layer in layers:
            stack.callback(lm.down(layer).register_forward_hook(probe(layer)).remove)
        yield keys, probes


@contextmanager
def skipping_layers(lm: LanguageModel, layer: int, output: Tensor | tuple) -> Iterator[None]:
    """Layers up to `layer` are not run; the output of `layer` is `output`."""
    parts = lm.layers[: layer + 1]
    replaced = [part.__dict__.get("forward") for part in parts]  # a placement library may have put one there

    def forward(*_: Any, **__: Any) -> Tensor | tuple:
        return output

    try:
        for part in parts:
            part.forward = forward
        yield
    finally:
        for part, before in zip(parts, replaced, strict=True):
            if before is None:
                del part.__dict__["forward"]
            else:
                part.forward = before
