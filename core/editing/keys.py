"""Keys: what the down-projection reads at the subject's last token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from core.editing.contexts import prefixes
from core.facts.fact import Fact
from core.models.forward import Site, activations_at
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
    lm: LanguageModel, rows: Prompts, layer: int, last: int, site: str = "block", flat: bool = False
) -> tuple[Float[Tensor, "d_in b"], Float[Tensor, "d b"]]:
    """(`keys` at `layer`, state at `site` of layer `last` in the bare prompts), both at the subject, float64.

    With `flat` keys are the plain mean over all prompts.
    """
    bare, state = bare_keys_and_states(lm, rows, layer, last, site)
    return mean_at(lm, rows, ("key", layer), bare, flat), state


def bare_keys_and_states(
    lm: LanguageModel, rows: Prompts, layer: int, last: int, site: str
) -> tuple[Float[Tensor, "d_in b"], Float[Tensor, "d b"]]:
    """(key at `layer`, state at `site` of layer `last`) at the subject of the bare prompts, float64."""
    found = activations_at(lm, rows.bare, ends(rows.bare), [("key", layer), (site, last)])
    return found["key", layer].double().T.contiguous(), found[site, last].double().T.contiguous()


def mean_keys(lm: LanguageModel, rows: Prompts, layer: int, flat: bool) -> Float[Tensor, "d_in b"]:
    """The keys at a layer, averaged over prompts as `mean_at` does."""
    return mean_at(lm, rows, ("key", layer), states(lm, rows, layer, "key"), flat)


def mean_at(
    lm: LanguageModel, rows: Prompts, where: Site, bare: Float[Tensor, "d b"], flat: bool
) -> Float[Tensor, "d b"]:
    """What the bare prompts have at a site, averaged with what is there behind the contexts: half and half, or every
    prompt alike (`flat`)."""
    if not rows.behind:
        return bare
    behind = [activations_at(lm, some, ends(some), [where])[where].double() for some in rows.behind]
    if flat:
        return torch.stack([bare, *(row.T for row in behind)]).mean(0)
    return ((bare.T + torch.stack(behind).mean(0)) / 2).T.contiguous()


def ends(rows: Sequence[Sequence[int]]) -> list[int]:
    """The index of each row's last token."""
    return [len(row) - 1 for row in rows]


def states(lm: LanguageModel, rows: Prompts, last: int, site: str = "block") -> Float[Tensor, "d b"]:
    """The state at `site` of layer `last` at the subject of the bare prompts, float64."""
    found = activations_at(lm, rows.bare, ends(rows.bare), [(site, last)])
    return found[site, last].double().T.contiguous()


def finite(values: Float[Tensor, "d b"]) -> list[bool]:
    """Per column: whether all of it is finite."""
    return torch.isfinite(values).all(0).tolist()
