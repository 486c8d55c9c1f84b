"""The exact tail: what a change to the residual stream at one token can reach, and nothing else.

Adding δ to the residual stream after layer L at token c of a row changes only the tokens from c on, in the layers
above L. So a row is run once, without gradients; the keys and values of its tokens before c and its residual stream
after L from c on are kept; and from then on only the layers above L run on the tokens from c on, against the kept
keys and values. Equal to the full forward pass, with an n-th of its work.

The model's own code does that: layers up to L stand aside (their `forward` is replaced for the moment of a pass, L's
by the kept states plus δ), and a cache that gives its keys and values without growing does the rest, so masks,
rotary embeddings and layer signatures stay the model's business.

Shapes: r rows, s tokens from c on, p tokens before c (padded left), d the model's width, v the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache

from core.models.forward import logits_at
from core.models.kept import WORTH_SHARING, kept, repeated, shared_start
from core.models.language_model import LanguageModel


@dataclass(frozen=True)
class Row:
    """A row of ids; δ of its `owner` is added at token `cut`; logits are wanted after the tokens `reads` (>= cut).

    Rows of the same `start` are likely to begin with the same ids, which are then run once.
    """

    ids: tuple[int, ...]
    cut: int
    owner: int
    reads: tuple[int, ...]
    start: int = 0


@dataclass
class Chunk:
    """Rows that go through the tail together.

    `reads` are (row, token from the cut on) pairs, flattened; `read_rows` says to which of the chunk's rows each
    belongs, `rows` to which of the caller's rows each of the chunk's rows belongs.
    """

    rows: list[int]
    owners: Int[Tensor, " r"]
    ids: Int[Tensor, "r s"]
    mask: Int[Tensor, "r p_and_s"]
    positions: Int[Tensor, "r s"]
    hidden: Float[Tensor, "r s d"]
    kept: list[tuple[Tensor, Tensor]]
    read_rows: Int[Tensor, " n"]
    read_columns: Int[Tensor, " n"]
    in_tuple: bool  # whether the model's layers return a tuple

    def pack(self, hidden: Tensor) -> Tensor | tuple[Tensor]:
        return (hidden,) if self.in_tuple else hidden

    def without(self, gone: set[int]) -> Chunk | None:
        """The chunk without the rows of some owners; None if nothing is left."""
        keep = [i for i, owner in enumerate(self.owners.tolist()) if owner not in gone]
        if len(keep) == len(self.rows):
            return self
        if not keep:
            return None
        at = torch.tensor(keep, device=self.ids.device)
        new_index = torch.full((len(self.rows),), -1, device=self.ids.device)
        new_index[at] = torch.arange(len(keep), device=self.ids.device)
        stays = new_index[self.read_rows] >= 0
        return Chunk(
            [self.rows[i] for i in keep],
            self.owners[at],
            self.ids[at],
            self.mask[at],
            self.positions[at],
            self.hidden[at],
            [(keys[at], values[at]) for keys, values in self.kept],
            new_index[self.read_rows[stays]],
            self.read_columns[stays],
            self.in_tuple,
        )


class Tail:
    """Rows prepared for passes through the layers above `layer`.

    Weights must not change between preparing and running.
    """

    def __init__(self, lm: LanguageModel, rows: Sequence[Row], layer: int, budget: int | None = None):
        """Run each row once. `budget`: padded tokens of a chunk (all of a row's at first, those from the cut later)."""
        self.lm = lm
        self.layer = layer
        self.chunks: list[Chunk] = []
        for group in grouped(rows, budget or lm.token_budget):
            self.chunks.append(prepare(lm, rows, group, layer))

    def drop(self, owners: set[int]) -> None:
        """Forget the rows of these owners."""
        self.chunks = [left for chunk in self.chunks if (left := chunk.without(owners)) is not None]

    def logits(self, chunk: Chunk, delta: Float[Tensor, "owners d"]) -> Float[Tensor, "n v"]:
        """Logits at the chunk's reads with each row's δ added at its cut. Differentiable in δ."""
        first = chunk.hidden[:, :1] + delta[chunk.owners, None].to(chunk.hidden.dtype)
        hidden = torch.cat([first, chunk.hidden[:, 1:]], 1)
        inputs = {
            "input_ids": chunk.ids,
            "attention_mask": chunk.mask,
            "position_ids": chunk.positions,
            "past_key_values": kept(chunk.kept),
            "use_cache": True,
        }
        only = (chunk.read_rows, chunk.read_columns)
        with standing_aside(self.lm, self.layer, chunk.pack(hidden)), last_mlp_at(self.lm, *only):
            return logits_at(self.lm, inputs, *only)


@torch.no_grad()
def prepare(lm: LanguageModel, rows: Sequence[Row], group: Sequence[int], layer: int) -> Chunk:
    """Run a group of rows once, aligned at their cuts, and keep what the tail needs."""
    members = [rows[i] for i in group]
    device, n = lm.device, len(members)
    shared = 0 if window(lm) else shared_start([row.ids[: row.cut + 1] for row in members])
    cache = DynamicCache()
    if shared:
        start = {"input_ids": torch.tensor([members[0].ids[:shared]], device=device)}
        logits_at(lm, {**start, "past_key_values": cache, "use_cache": True}, [], [])
        cache = repeated(cache, n)

    own = max(row.cut for row in members) - shared  # columns before the cut that are not shared
    after = max(len(row.ids) - row.cut for row in members)
    pads = [own + shared - row.cut for row in members]
    ids = torch.tensor(
        [
            [*[0] * pad, *row.ids[shared:], *[0] * (after - len(row.ids) + row.cut)]
            for pad, row in zip(pads, members, strict=True)
        ],
        device=device,
    )
    pad = torch.tensor(pads, device=device)[:, None]
    columns = torch.arange(own + after, device=device)[None]
    # Padding on the right needs no mask: nothing before it can see it.
    mask = torch.cat([torch.ones(n, shared, dtype=torch.long, device=device), (columns >= pad).long()], 1)
    positions = (columns - pad).clamp(min=0) + shared

    outputs: list[Tensor | tuple] = []

    def keep(_: object, __: tuple, output: Tensor | tuple) -> None:
        outputs.append(output)

    handle = lm.layers[layer].register_forward_hook(keep)
    inputs = {"input_ids": ids, "attention_mask": mask, "position_ids": positions}
    try:
        logits_at(lm, {**inputs, "past_key_values": cache, "use_cache": True}, [], [])
    finally:
        handle.remove()
    before = shared + own
    # Layers up to `layer` stand aside later and need no keys; their length is still asked for.
    nothing = torch.empty(n, 1, before, 0, device=device, dtype=lm.dtype)
    states = [
        (held.keys[:, :, :before].clone(), held.values[:, :, :before].clone()) if index > layer else (nothing, nothing)
        for index, held in enumerate(cache.layers)
    ]
    in_tuple = isinstance(outputs[0], tuple)
    hidden = outputs[0][0] if in_tuple else outputs[0]
    reads = [(r, token - row.cut) for r, row in enumerate(members) for token in row.reads]
    return Chunk(
        list(group),
        torch.tensor([row.owner for row in members], device=device),
        ids[:, own:],
        mask,
        positions[:, own:],
        hidden[:, own:].clone(),
        states,
        torch.tensor([r for r, _ in reads], device=device),
        torch.tensor([c for _, c in reads], device=device),
        in_tuple,
    )


def window(lm: LanguageModel) -> bool:
    """Whether attention slides: it counts columns, so padding may then stand only before a row's first token."""
    return bool(getattr(lm.config, "sliding_window", None)) and getattr(lm.config, "use_sliding_window", True)


@contextmanager
def standing_aside(lm: LanguageModel, layer: int, output: Tensor | tuple[Tensor]) -> Iterator[None]:
    """Layers up to `layer` do nothing; what leaves `layer` is `output`."""
    parts = lm.layers[: layer + 1]
    replaced = [part.__dict__.get("forward") for part in parts]  # a placement library may have put one there

    def forward(*_: Any, **__: Any) -> Tensor | tuple[Tensor]:
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


@contextmanager
def last_mlp_at(lm: LanguageModel, rows: Tensor, columns: Tensor) -> Iterator[None]:
    """The last layer's FFN runs on these tokens only: what it gives for the others is never read."""
    if not lm.anatomy.mlp:
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


def grouped(rows: Sequence[Row], budget: int) -> list[list[int]]:
    """Indices of rows in groups of the same start and like lengths from the cut on.

    A group's rows x (longest before + longest after the cut) stay within `budget`.
    """
    order = sorted(range(len(rows)), key=lambda i: (rows[i].start, len(rows[i].ids) - rows[i].cut, rows[i].cut))
    groups: list[list[int]] = []
    before = after = 0
    for index in order:
        row = rows[index]
        wider = max(before, row.cut) + max(after, len(row.ids) - row.cut)
        full = groups and (len(groups[-1]) + 1) * wider > budget
        parted = groups and row.start != rows[groups[-1][-1]].start and len(groups[-1]) > WORTH_SHARING
        if not groups or full or parted:
            groups.append([])
            before = after = 0
        before, after = max(before, row.cut), max(after, len(row.ids) - row.cut)
        groups[-1].append(index)
    return groups
