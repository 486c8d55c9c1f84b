"""Rounds that change no weights: what the lane is to remember, and the facts as sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from core.editing.extras.blocks import block, items, packed
from core.editing.lane.results import Fit, RoundUpdate
from core.facts.fact import Fact
from core.models.tokens import answer_text

END = ".!?。！？"  # noqa: RUF001  # a sentence that ends so needs no full stop


def remembered(
    memory: Mapping[str, Tensor], fit: Fit | None = None, facts: int = 0, notes: Sequence[str] = ()
) -> RoundUpdate:
    """A round's result with this memory and no update of a matrix. Without a `fit` (nothing was optimised) the losses
    of its `facts` are NaN."""
    unknown = torch.full((facts,), torch.nan, dtype=torch.float64)
    return RoundUpdate(
        updates={},
        keys={},
        removed_share={},
        residual_before={},
        residual_after={},
        values=fit or Fit(unknown, unknown, torch.zeros(facts, dtype=torch.int)),
        notes=list(notes),
        memory=dict(memory),
    )


def sentence(fact: Fact) -> str:
    """The fact's prompt with its new object, as a sentence."""
    text = answer_text(fact.text, fact.target).strip()
    return text if text.endswith(tuple(END)) else f"{text}."


def text_of(fact: Fact, texts: str) -> str:
    """What is remembered of a fact: with `texts` "passages" the free text that it was taken from, if it has one."""
    return fact.passage if texts == "passages" and fact.passage else sentence(fact)


def listed(memory: Mapping[str, Tensor], kind: str, new: Sequence[object]) -> dict[str, Tensor]:
    """A block of new items after those that the memory has of this kind."""
    return {block(kind, len(items(memory, kind))): packed(list(new))}
