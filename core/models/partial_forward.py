"""Partial forward passes: only what a change of the residual stream at one token can reach.

Adding δ to the residual stream after layer L at token c of a row changes only the tokens from c on, in the layers
above L. So each row is run once, without gradients. The keys and values of its tokens before c are stored, and its
residual stream after L from c on. From then on only the layers above L run, on the tokens from c on, against the
stored keys and values. The result equals the full forward pass, at a fraction of its cost.

The model's own code computes it. Layers up to L are skipped: their `forward` is replaced during a pass, that of L by
the stored states plus δ. A frozen KV cache supplies the keys and values, so masks, rotary embeddings and the
signatures of layers remain the model's own.

Shapes: r rows, s tokens from c on, p tokens before c (padded left), d the model's width, v the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F
from transformers import DynamicCache

from core.models.hooks import last_mlp_at, logits_at, skipping_layers
from core.models.kv_cache import frozen_cache, keys_and_values
from core.models.language_model import LanguageModel
from core.models.passes import passes

BATCH_COST = 96  # tokens of padding that are worth one batch less


@dataclass(frozen=True)
class Row:
    """A row of ids; δ of its `owner` is added at token `cut`; logits are wanted after the tokens `reads` (>= cut)."""

    ids: tuple[int, ...]
    cut: int
    owner: int
    reads: tuple[int, ...]


@dataclass
class RowBatch:
    """Rows that are run together.

    `reads` are (row, token from the cut on) pairs, flattened; `read_rows` says to which of the batch's rows each
    belongs, `rows` to which of the caller's rows each of the batch's rows belongs.
    """

    rows: list[int]
    owners: Int[Tensor, " r"]
    ids: Int[Tensor, "r s"]
    mask: Int[Tensor, "r p_and_s"]
    positions: Int[Tensor, "r s"]
    hidden: Float[Tensor, "r s d"]
    past: list[tuple[Tensor, Tensor]]
    read_rows: Int[Tensor, " n"]
    read_columns: Int[Tensor, " n"]
    in_tuple: bool  # whether the model's layers return a tuple

    @property
    def before(self) -> int:
        """p."""
        return self.mask.shape[1] - self.ids.shape[1]

    def as_output(self, hidden: Tensor) -> Tensor | tuple[Tensor]:
        return (hidden,) if self.in_tuple else hidden

    def without(self, gone: set[int]) -> RowBatch | None:
        """The batch without the rows of some owners; None if nothing is left."""
        keep = [i for i, owner in enumerate(self.owners.tolist()) if owner not in gone]
        if len(keep) == len(self.rows):
            return self
        if not keep:
            return None
        at = torch.tensor(keep, device=self.ids.device)
        new_index = torch.full((len(self.rows),), -1, device=self.ids.device)
        new_index[at] = torch.arange(len(keep), device=self.ids.device)
        stays = new_index[self.read_rows] >= 0
        return RowBatch(
            [self.rows[i] for i in keep],
            self.owners[at],
            self.ids[at],
            self.mask[at],
            self.positions[at],
            self.hidden[at],
            [(keys[at], values[at]) for keys, values in self.past],
            new_index[self.read_rows[stays]],
            self.read_columns[stays],
            self.in_tuple,
        )


def merged(batches: Sequence[RowBatch], budget: int) -> list[RowBatch]:
    """Merges batches where one pass is cheaper than two: the added padding costs less than another batch. A batch's
    rows x (p + s) stay within `budget`."""
    result: list[RowBatch] = []
    for batch in sorted(batches, key=lambda batch: -batch.ids.shape[1]):
        if result:
            last = result[-1]
            rows, wide = len(last.rows) + len(batch.rows), last.ids.shape[1]
            padding = len(batch.rows) * (wide - batch.ids.shape[1])
            if padding <= BATCH_COST and rows * (max(last.before, batch.before) + wide) <= budget:
                result[-1] = concatenated(last, batch)
                continue
        result.append(batch)
    return result


def concatenated(first: RowBatch, second: RowBatch) -> RowBatch:
    """Two batches as one, padded on the left before the cut and on the right after it, where no token attends."""
    before, after = max(first.before, second.before), max(first.ids.shape[1], second.ids.shape[1])

    def both(a: Tensor, b: Tensor, sides: Callable[[RowBatch], tuple[int, ...]]) -> Tensor:
        return torch.cat([F.pad(a, sides(first)), F.pad(b, sides(second))])

    def left(batch: RowBatch) -> tuple[int, ...]:
        return (0, 0, before - batch.before, 0)

    def right(batch: RowBatch) -> tuple[int, ...]:
        return (0, after - batch.ids.shape[1])

    def masked(batch: RowBatch) -> Tensor:
        ends = torch.ones(len(batch.rows), right(batch)[1], dtype=batch.mask.dtype, device=batch.mask.device)
        return torch.cat([F.pad(batch.mask, (before - batch.before, 0)), ends], 1)

    return RowBatch(
        [*first.rows, *second.rows],
        torch.cat([first.owners, second.owners]),
        both(first.ids, second.ids, right),
        torch.cat([masked(first), masked(second)]),
        both(first.positions, second.positions, right),
        both(first.hidden, second.hidden, lambda batch: (0, 0, *right(batch))),
        [
            (both(keys, more_keys, left), both(values, more_values, left))
            for (keys, values), (more_keys, more_values) in zip(first.past, second.past, strict=True)
        ],
        torch.cat([first.read_rows, second.read_rows + len(first.rows)]),
        torch.cat([first.read_columns, second.read_columns]),
        first.in_tuple,
    )


class PartialForward:
    """Rows prepared for passes through the layers above `layer`.

    Weights must not change between construction and use.
    """

    def __init__(
        self,
        lm: LanguageModel,
        rows: Sequence[Row],
        layer: int,
        budget: int | None = None,
        beat: Callable[[], None] | None = None,
    ):
        """Run each row once. `budget`: padded tokens of a batch (all of a row's at first, those from the cut later);
        `beat` is called before each pass here; callers that run the batches call it themselves."""
        self.lm, self.beat = lm, beat or (lambda: None)
        self.layer = layer
        self.budget = budget or lm.token_budget
        starts, in_tuple = first_pass(lm, rows, layer, self.budget, self.beat)
        groups = grouped(rows, self.budget)
        self.batches = merged([aligned(lm, rows, starts, group, layer, in_tuple) for group in groups], self.budget)

    def drop(self, owners: set[int]) -> None:
        """Drop the rows of these owners."""
        self.batches = [left for batch in self.batches if (left := batch.without(owners)) is not None]
        self.batches = merged(self.batches, self.budget)

    def logits(self, batch: RowBatch, delta: Float[Tensor, "owners d"]) -> Float[Tensor, "n v"]:
        """Logits at the batch's reads with each row's δ added at its cut. Differentiable in δ."""
        first = batch.hidden[:, :1] + delta[batch.owners, None].to(batch.hidden.dtype)
        hidden = torch.cat([first, batch.hidden[:, 1:]], 1)
        inputs = {"input_ids": batch.ids, "attention_mask": batch.mask, "position_ids": batch.positions}
        only = (batch.read_rows, batch.read_columns)
        with skipping_layers(self.lm, self.layer, batch.as_output(hidden)), last_mlp_at(self.lm, *only):
            return logits_at(self.lm, inputs, *only, cache=frozen_cache(batch.past))


@dataclass(frozen=True)
class Start:
    """What is stored of a row's first pass: keys and values of the layers above `layer`, before the cut, [head,
    token, d_head], and the residual stream from the cut on, [token, d]."""

    above: list[tuple[Tensor, Tensor]]
    hidden: Tensor


@torch.no_grad()
def first_pass(
    lm: LanguageModel, rows: Sequence[Row], layer: int, budget: int, beat: Callable[[], None]
) -> tuple[list[Start], bool]:
    """(what is stored of each row, whether the model's layers return tuples). Shared prefixes are run once."""
    starts: dict[int, Start] = {}
    in_tuple = False
    nowhere = torch.zeros(0, dtype=torch.long)
    for part in passes(lm, [row.ids for row in rows], budget):
        beat()
        cache = DynamicCache()
        seen: list[Any] = []
        handle = lm.layers[layer].register_forward_hook(lambda _, __, output, seen=seen: seen.append(output))
        # No logits are wanted, and nothing of the last layer but keys and values.
        skipped = last_mlp_at(lm, nowhere, nowhere) if layer < lm.n_layers - 1 else nullcontext()
        try:
            with skipped:
                logits_at(lm, part.inputs, nowhere, nowhere, cache)
        finally:
            handle.remove()
        in_tuple = isinstance(seen[0], tuple)
        hidden = seen[0][0] if in_tuple else seen[0]
        for index, (r, columns) in part.places.items():
            at, cut = torch.as_tensor(columns, device=lm.device), rows[index].cut
            held = [keys_and_values(cached) for cached in cache.layers[layer + 1 :]]
            above = [(keys[r][:, at[:cut]], values[r][:, at[:cut]]) for keys, values in held]
            starts[index] = Start(above, hidden[r, at[cut:]])
    return [starts[index] for index in range(len(rows))], in_tuple


def aligned(
    lm: LanguageModel, rows: Sequence[Row], starts: Sequence[Start], group: Sequence[int], layer: int, in_tuple: bool
) -> RowBatch:
    """A group of rows as a batch, aligned at their cuts."""
    members, device = [rows[i] for i in group], lm.device
    before = max(row.cut for row in members)
    after = max(len(row.ids) - row.cut for row in members)

    def left(states: Sequence[Tensor]) -> Tensor:
        return torch.stack([F.pad(state, (0, 0, before - state.shape[1], 0)) for state in states])

    ends = [[*row.ids[row.cut :], *[0] * (after - len(row.ids) + row.cut)] for row in members]
    cuts = torch.tensor([row.cut for row in members], device=device)[:, None]
    last = torch.tensor([len(row.ids) - 1 for row in members], device=device)[:, None]
    columns = torch.arange(before + after, device=device)[None]
    # Layers up to `layer` are skipped later and need no keys; the model still asks for their length.
    nothing = torch.empty(len(members), 1, before, 0, device=device, dtype=lm.dtype)
    own = [starts[i].above for i in group]
    above = [
        (left([layers[n][0] for layers in own]), left([layers[n][1] for layers in own]))
        for n in range(lm.n_layers - layer - 1)
    ]
    reads = [(r, token - row.cut) for r, row in enumerate(members) for token in row.reads]
    return RowBatch(
        list(group),
        torch.tensor([row.owner for row in members], device=device),
        torch.tensor(ends, device=device),
        # Padding on the right needs no mask: nothing before it can see it.
        (columns >= before - cuts).long(),
        torch.minimum(cuts + torch.arange(after, device=device), last),
        torch.stack([F.pad(starts[i].hidden, (0, 0, 0, after - len(starts[i].hidden))) for i in group]),
        [(nothing, nothing)] * (layer + 1) + above,
        torch.tensor([r for r, _ in reads], device=device),
        torch.tensor([c for _, c in reads], device=device),
        in_tuple,
    )


def grouped(rows: Sequence[Row], budget: int) -> list[list[int]]:
    """Indices of rows in groups of similar length from the cut on.

    A group's rows x (longest before + longest after the cut) stay within `budget`.
    """
    order = sorted(range(len(rows)), key=lambda i: (len(rows[i].ids) - rows[i].cut, rows[i].cut))
    groups: list[list[int]] = []
    before = after = 0
    for index in order:
        row = rows[index]
        wider = max(before, row.cut) + max(after, len(row.ids) - row.cut)
        if not groups or (len(groups[-1]) + 1) * wider > budget:
            groups.append([])
            before = after = 0
        before, after = max(before, row.cut), max(after, len(row.ids) - row.cut)
        groups[-1].append(index)
    return groups
