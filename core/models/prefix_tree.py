"""Prefix-tree batching: a prefix that rows share is run once.

What a causal model predicts after a token depends only on the tokens before it. So rows that share a prefix (answers to
one prompt, prompts of one template, choices of one question) can share its states: each distinct prefix becomes one
token of a tree, its position is its depth, and the attention mask lets it attend to its ancestors alone. Trees of at
most `TREE_TOKENS` tokens are the rows of a pass. The numbers are those of separate rows, up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from core.models.language_model import LanguageModel

TREE_TOKENS = 128  # tokens: attention costs their square, and a new tree repeats one prefix
AGREE = {torch.float64: 1e-6, torch.float32: 1e-4}  # of the largest logit; other types: LOOSE
LOOSE = 0.05

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Pass:
    """Inputs of one pass of the model, and where the tokens of its rows are: `places` gives for a row's index in the
    caller's list (the pass's row, the column of each of its tokens)."""

    inputs: dict[str, Any]
    places: dict[int, tuple[int, Sequence[int]]]


class PrefixTree:
    """Tokens of a tree in depth-first order: their ids, depths, and the column that each one follows (−1: none)."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.depths: list[int] = []
        self.parents: list[int] = []
        self.path: list[int] = []  # columns of the row added last
        self.rows: dict[int, list[int]] = {}

    def grow(self, index: int, row: Ids, shared: int) -> None:
        """Add a row that shares its first `shared` tokens with the one added before."""
        self.path = self.path[:shared]
        for depth in range(shared, len(row)):
            self.parents.append(self.path[-1] if self.path else -1)
            self.path.append(len(self.ids))
            self.ids.append(row[depth])
            self.depths.append(depth)
        self.rows[index] = self.path

    def sees(self) -> Tensor:
        """[token, token]: whether a token attends to another: to itself and its ancestors."""
        seen = torch.zeros(len(self.ids), len(self.ids), dtype=torch.bool)
        for column, parent in enumerate(self.parents):
            if parent >= 0:
                seen[column] = seen[parent]
            seen[column, column] = True
        return seen


def prefix_trees(rows: Sequence[Ids], length: int = TREE_TOKENS) -> list[PrefixTree]:
    """All rows in trees of at most `length` tokens, or of one longer row; rows that share a prefix are adjacent."""
    trees = [PrefixTree()]
    before: Ids = ()
    for index in sorted(range(len(rows)), key=lambda i: rows[i]):
        row = rows[index]
        shared = shared_length(before, row)
        if trees[-1].ids and len(trees[-1].ids) + len(row) - shared > length:
            trees.append(PrefixTree())
            shared = 0
        trees[-1].grow(index, row, shared)
        before = row
    return trees


def shared_length(first: Ids, second: Ids) -> int:
    """The length of the longest common prefix of two rows."""
    return next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )


def tree_passes(lm: LanguageModel, rows: Sequence[Ids], budget: int) -> Iterator[Pass]:
    """Passes over all rows, longest trees first; a pass has at most `budget` tokens, padding counted."""
    trees = sorted(prefix_trees(rows, min(TREE_TOKENS, budget)), key=lambda tree: -len(tree.ids))
    while trees:
        length = len(trees[0].ids)
        count = max(1, budget // length)
        yield one_pass(lm, trees[:count], length)
        trees = trees[count:]


def one_pass(lm: LanguageModel, trees: Sequence[PrefixTree], length: int) -> Pass:
    """The model's inputs for some trees, padded on the right to `length`: a padding token attends only to itself."""
    ids = torch.zeros(len(trees), length, dtype=torch.long)
    depths = torch.zeros_like(ids)
    seen = torch.eye(length, dtype=torch.bool).repeat(len(trees), 1, 1)
    places: dict[int, tuple[int, Sequence[int]]] = {}
    for r, tree in enumerate(trees):
        size = len(tree.ids)
        ids[r, :size], depths[r, :size] = torch.tensor(tree.ids), torch.tensor(tree.depths)
        seen[r, :size, :size] = tree.sees()
        places |= {index: (r, columns) for index, columns in tree.rows.items()}
    inputs = {
        "input_ids": ids.to(lm.device),
        "attention_mask": additive(seen, lm.dtype).to(lm.device),
        "position_ids": depths.to(lm.device),
    }
    return Pass(inputs, places)


def additive(seen: Tensor, dtype: torch.dtype) -> Float[Tensor, "n 1 query key"]:
    """The additive attention mask: 0 where a token attends to another, else the type's lowest number."""
    return torch.zeros(seen.shape, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min)[:, None]


@torch.no_grad()
def takes_prefix_trees(lm: LanguageModel, longest: int) -> bool:
    """Whether rows up to this length may be run as prefix trees: the model must use the given mask and positions.

    This is tried once per model, unedited, on a small tree. Models that number positions in another way, or whose
    attention ignores the mask, run padded rows instead. A sliding window must not be shorter than the rows.
    """
    if lm.takes_trees is None:
        with lm.worn({}):
            lm.takes_trees = _agrees(lm)
    window = getattr(lm.config, "sliding_window", None)
    return lm.takes_trees and (not window or longest <= window)


def _agrees(lm: LanguageModel) -> bool:
    some = [index * (lm.config.vocab_size // 8) for index in range(8)]
    rows: list[Ids] = [(*some[:3], some[4]), (*some[:3], some[5], some[6]), (some[0], *some[6:4:-1]), (some[7],)]
    try:
        (batch,) = tree_passes(lm, rows, TREE_TOKENS)
        joint = lm.model(**batch.inputs, use_cache=False).logits
    except (TypeError, ValueError, RuntimeError, IndexError):
        return False  # this model does not support such inputs
    alone = [lm.model(torch.tensor([row], device=lm.device), use_cache=False).logits[0, -1] for row in rows]
    logits = torch.stack([joint[r, columns[-1]] for r, columns in (batch.places[i] for i in range(len(rows)))])
    wanted = torch.stack(alone)
    return bool((logits - wanted).abs().max() <= AGREE.get(lm.dtype, LOOSE) * wanted.abs().max())
