"""Batches of rows for forward passes: prefix trees if the model supports them, else rows of similar length.

Rows are padded on the right: under causal attention no token of a row attends to the padding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from core.models.language_model import LanguageModel
from core.models.prefix_tree import Pass, takes_prefix_trees, tree_passes


def passes(
    lm: LanguageModel, rows: Sequence[tuple[int, ...]], budget: int, heads: Sequence[int] = ()
) -> Iterator[Pass]:
    """Passes over all rows: as prefix trees if the model supports them, else padded on the right.

    `heads` are the lengths of the rows' prompts. While hooks are worn, which act where prompts end, rows share no
    tokens if the prompt of one ends within another one's.
    """
    if lm.hooked and crossing(rows, heads):
        yield from separate(lm, rows, budget)
        return
    if rows and takes_prefix_trees(lm, max(map(len, rows))):
        yield from tree_passes(lm, rows, budget)
        return
    host = hosts(rows)
    unique = list(dict.fromkeys(host.values()))
    guests: dict[tuple[int, ...], list[int]] = {row: [] for row in unique}
    for index, row in enumerate(rows):
        guests[host[row]].append(index)
    for batch in batches([len(row) for row in unique], budget):
        places: dict[int, tuple[int, Sequence[int]]] = {
            i: (r, range(len(rows[i]))) for r, u in enumerate(batch) for i in guests[unique[u]]
        }
        yield Pass(right_padded(lm, [unique[u] for u in batch]), places)


def crossing(rows: Sequence[tuple[int, ...]], heads: Sequence[int]) -> bool:
    """Whether a row begins with the whole prompt of another row, and its own prompt ends elsewhere."""
    prompts = {row[:length] for row, length in zip(rows, heads, strict=True)} if heads else set()
    lengths = sorted({len(prompt) for prompt in prompts})
    return any(
        row[:length] in prompts
        for row, own in zip(rows, heads, strict=False)
        for length in lengths
        if length != own and length <= len(row)
    )


def separate(lm: LanguageModel, rows: Sequence[tuple[int, ...]], budget: int) -> Iterator[Pass]:
    """Passes over all rows, padded on the right, in which no two rows share a token."""
    for batch in batches([len(row) for row in rows], budget):
        places: dict[int, tuple[int, Sequence[int]]] = {i: (r, range(len(rows[i]))) for r, i in enumerate(batch)}
        yield Pass(right_padded(lm, [rows[i] for i in batch]), places)


def right_padded(lm: LanguageModel, rows: Sequence[Sequence[int]]) -> dict[str, Int[Tensor, "n length"]]:
    """Model inputs of rows of ids. The mask is all ones: under causal attention no token attends to padding on its
    right."""
    length = max(len(row) for row in rows)
    ids = torch.tensor([[*row, *[0] * (length - len(row))] for row in rows], device=lm.device)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices in batches of similar length, longest first; a batch's rows x longest length stay within `budget`."""
    result: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if not result or (len(result[-1]) + 1) * lengths[result[-1][0]] > budget:
            result.append([])
        result[-1].append(index)
    return result


def hosts(rows: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], tuple[int, ...]]:
    """For each row the longest row that begins with it: under causal attention their common part has the same
    states."""
    result: dict[tuple[int, ...], tuple[int, ...]] = {}
    after: tuple[int, ...] = ()
    for row in sorted(set(rows), reverse=True):  # a row's extensions directly follow it in sorted order
        result[row] = result[after] if after[: len(row)] == row else row
        after = row
    return result
