"""Rows that begin alike, run once: a tree of tokens laid out in packs, where each token sees its own ancestors only.

What a causal model says after a token depends on what stands before it. So rows that share a beginning (answers to one
prompt, prompts of one template, choices of one question) can share its states: each distinct beginning becomes one
token of a pack, placed at its depth, and the attention mask lets it see the tokens that lead to it. Nothing is padded
but the last pack. The numbers are those of separate rows, to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from core.models.language_model import LanguageModel

PACK = 128  # tokens: attention costs their square, and a new pack repeats one beginning
AGREE = {torch.float64: 1e-6, torch.float32: 1e-4}  # of the largest logit; other types: LOOSE
LOOSE = 0.05

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Pass:
    """Inputs of one pass of the model, and where the tokens of its rows are: `places` gives for a row's index in the
    caller's list (the pass's row, the column of each of its tokens)."""

    inputs: dict[str, Any]
    places: dict[int, tuple[int, Sequence[int]]]


class Pack:
    """Tokens of a tree in depth-first order: their ids, depths, and the column that each one follows (−1: none)."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.depths: list[int] = []
        self.parents: list[int] = []
        self.path: list[int] = []  # columns of the row added last
        self.rows: dict[int, list[int]] = {}

    def grow(self, index: int, row: Ids, shared: int) -> None:
        """Add a row that has its first `shared` tokens in common with the one added before."""
        self.path = self.path[:shared]
        for depth in range(shared, len(row)):
            self.parents.append(self.path[-1] if self.path else -1)
            self.path.append(len(self.ids))
            self.ids.append(row[depth])
            self.depths.append(depth)
        self.rows[index] = self.path

    def sees(self) -> Tensor:
        """[token, token]: whether one sees the other, itself and its ancestors."""
        seen = torch.zeros(len(self.ids), len(self.ids), dtype=torch.bool)
        for column, parent in enumerate(self.parents):
            if parent >= 0:
                seen[column] = seen[parent]
            seen[column, column] = True
        return seen


def packed(rows: Sequence[Ids], length: int = PACK) -> list[Pack]:
    """All rows in packs of at most `length` tokens, or of one longer row; rows that begin alike are neighbours."""
    packs = [Pack()]
    before: Ids = ()
    for index in sorted(range(len(rows)), key=lambda i: rows[i]):
        row = rows[index]
        shared = common(before, row)
        if packs[-1].ids and len(packs[-1].ids) + len(row) - shared > length:
            packs.append(Pack())
            shared = 0
        packs[-1].grow(index, row, shared)
        before = row
    return packs


def common(one: Ids, other: Ids) -> int:
    """How many ids two rows begin with alike."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def packed_passes(lm: LanguageModel, rows: Sequence[Ids], budget: int) -> Iterator[Pass]:
    """Passes over all rows, longest packs first; a pass has at most `budget` tokens, padding counted."""
    packs = sorted(packed(rows, min(PACK, budget)), key=lambda pack: -len(pack.ids))
    while packs:
        length = len(packs[0].ids)
        count = max(1, budget // length)
        yield one_pass(lm, packs[:count], length)
        packs = packs[count:]


def one_pass(lm: LanguageModel, packs: Sequence[Pack], length: int) -> Pass:
    """The model's inputs for some packs, padded on the right to `length`: padding sees only itself."""
    ids = torch.zeros(len(packs), length, dtype=torch.long)
    depths = torch.zeros_like(ids)
    seen = torch.eye(length, dtype=torch.bool).repeat(len(packs), 1, 1)
    places: dict[int, tuple[int, Sequence[int]]] = {}
    for r, pack in enumerate(packs):
        size = len(pack.ids)
        ids[r, :size], depths[r, :size] = torch.tensor(pack.ids), torch.tensor(pack.depths)
        seen[r, :size, :size] = pack.sees()
        places |= {index: (r, columns) for index, columns in pack.rows.items()}
    inputs = {
        "input_ids": ids.to(lm.device),
        "attention_mask": additive(seen, lm.dtype).to(lm.device),
        "position_ids": depths.to(lm.device),
    }
    return Pass(inputs, places)


def additive(seen: Tensor, dtype: torch.dtype) -> Float[Tensor, "n 1 length length"]:
    """The mask as models add it to their attention scores: 0 where a token sees another, else the lowest number."""
    return torch.zeros(seen.shape, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min)[:, None]


@torch.no_grad()
def can_pack(lm: LanguageModel, longest: int) -> bool:
    """Whether rows up to this length may be packed: the model's attention takes a mask and positions as they are given.

    That is tried out once per model, unedited, on a small tree; models that place tokens in other ways, or attention
    that takes no mask, run padded rows instead. A sliding window must not be shorter than the rows.
    """
    if lm.packs is None:
        with lm.worn({}):
            lm.packs = _agrees(lm)
    window = getattr(lm.config, "sliding_window", None)
    return lm.packs and (not window or longest <= window)


def _agrees(lm: LanguageModel) -> bool:
    some = [index * (lm.config.vocab_size // 8) for index in range(8)]
    rows: list[Ids] = [(*some[:3], some[4]), (*some[:3], some[5], some[6]), (some[0], *some[6:4:-1]), (some[7],)]
    try:
        (one,) = packed_passes(lm, rows, PACK)
        together = lm.model(**one.inputs, use_cache=False).logits
    except (TypeError, ValueError, RuntimeError, IndexError):
        return False  # this model does not take such inputs
    alone = [lm.model(torch.tensor([row], device=lm.device), use_cache=False).logits[0, -1] for row in rows]
    found = torch.stack([together[r, columns[-1]] for r, columns in (one.places[i] for i in range(len(rows)))])
    wanted = torch.stack(alone)
    return bool((found - wanted).abs().max() <= AGREE.get(lm.dtype, LOOSE) * wanted.abs().max())
