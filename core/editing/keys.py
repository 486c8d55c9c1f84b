"""Keys: what the down-projection reads at the subject's last token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from core.editing.contexts import prefixes
from core.facts.fact import Fact
from core.models.forward import activations_at
from core.models.language_model import LanguageModel
from core.models.tokens import slot_last


@dataclass(frozen=True)
class Prompts:
    """The facts' prompts up to the subject's last token, as ids: bare, and behind each context (context by context)."""

    bare: list[list[int]]
    behind: list[list[list[int]]]


def prompts(lm: LanguageModel, facts: Sequence[Fact], contexts: Sequence[str]) -> Prompts:
    """Tokenise each fact's prompt in each of its contexts and cut it after the subject."""
    bare, *behind = [
        [
            lm.encode(text)[: last + 1]
            for text, last in (slot_last(lm.tokenizer, fact.prompt, fact.subject, prefix) for fact in facts)
        ]
        for prefix in prefixes(contexts)
    ]
    return Prompts(bare, behind)


def keys(lm: LanguageModel, facts: Sequence[Fact], layer: int, contexts: Sequence[str]) -> Float[Tensor, "d_in b"]:
    """Keys of the facts at a layer of the model as it is worn, in float64.

    The bare prompt weighs ½ and the contexts share the other half: the mean over the two kinds of context.
    """
    return keys_and_states(lm, prompts(lm, facts, contexts), layer, layer)[0]


def keys_and_states(
    lm: LanguageModel, rows: Prompts, layer: int, last: int
) -> tuple[Float[Tensor, "d_in b"], Float[Tensor, "d b"]]:
    """(`keys` at `layer`, residual stream after layer `last` of the bare prompts), both at the subject, float64."""
    found = activations_at(lm, rows.bare, ends(rows.bare), [("key", layer), ("block", last)])
    key = found["key", layer].double()
    if rows.behind:
        here = ("key", layer)
        behind = [activations_at(lm, some, ends(some), [here])[here].double() for some in rows.behind]
        key = (key + torch.stack(behind).mean(0)) / 2
    return key.T.contiguous(), found["block", last].double().T.contiguous()


def ends(rows: Sequence[Sequence[int]]) -> list[int]:
    """The index of each row's last token."""
    return [len(row) - 1 for row in rows]


def states(lm: LanguageModel, rows: Prompts, last: int) -> Float[Tensor, "d b"]:
    """The residual stream after layer `last` at the subject of the bare prompts, float64."""
    found = activations_at(lm, rows.bare, ends(rows.bare), [("block", last)])
    return found["block", last].double().T.contiguous()


def finite(values: Float[Tensor, "d b"]) -> list[bool]:
    """Per column: whether all of it is finite."""
    return torch.isfinite(values).all(0).tolist()
