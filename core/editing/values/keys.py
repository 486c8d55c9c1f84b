"""Keys: the input of the down-projection at the subject's last token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from core.editing.lane.contexts import prefixes
from core.facts.fact import Fact
from core.models.activation_cache import ActivationCache
from core.models.language_model import LanguageModel


@dataclass(frozen=True)
class Prompts:
    """The facts' prompts up to the subject's last token, as ids: bare, and behind each context (context by context)."""

    bare: list[tuple[int, ...]]
    behind: list[list[tuple[int, ...]]]


@dataclass(frozen=True)
class Read:
    """At the subject's last token, float64: the key over all prompts, that of the bare prompts, the present value."""

    key: Float[Tensor, "d_in b"]
    bare: Float[Tensor, "d_in b"]
    value: Float[Tensor, "d b"]


def prompts(lm: LanguageModel, facts: Sequence[Fact], contexts: Sequence[str]) -> Prompts:
    """Tokenise each fact's prompt in each of its contexts and cut it after the subject."""
    bare, *behind = [
        [
            tuple(lm.encode(text)[: last + 1])
            for text, last in (lm.slot_last(fact.prompt, fact.subject, prefix) for fact in facts)
        ]
        for prefix in prefixes(contexts)
    ]
    return Prompts(bare, behind)


class Reading:
    """A round's prompts on the model with its present weights, read layer by layer while layers are edited from the
    lowest up.

    Keys are averaged over prompts: the bare one weighs ½ and the contexts share the other half (the mean over the two
    kinds of context), or all prompts have equal weight (`flat`). `beat` is called before each pass of the model.
    """

    def __init__(self, lm: LanguageModel, rows: Prompts, flat: bool = False, beat: Callable[[], None] | None = None):
        behind = [row for context in rows.behind for row in context]
        self.bare = ActivationCache(lm, rows.bare, beat=beat)
        self.behind = ActivationCache(lm, behind, beat=beat) if behind else None
        self.contexts, self.flat = len(rows.behind), flat

    def at(self, layer: int, last: int, site: str = "block", mean_values: bool = False) -> Read:
        """Keys at `layer`, and values at `site` of layer `last`: of the bare prompts, or averaged like keys.

        Layers below `layer` will not be edited any more.
        """
        key, value = ("key", layer), (site, last)
        bare = self.bare.at([key, value], layer - 1)
        means = {key: bare[key], value: bare[value]}
        if self.behind is not None:
            averaged = [key, value] if mean_values else [key]
            behind = self.behind.at(averaged, layer - 1)
            means |= {where: self._mean(bare[where], behind[where]) for where in averaged}
        return Read(_columns(means[key]), _columns(bare[key]), _columns(means[value]))

    def value(self, last: int, site: str = "block") -> Float[Tensor, "d b"]:
        """Values of the bare prompts, float64."""
        return _columns(self.bare.at([(site, last)])[site, last])

    def _mean(self, bare: Float[Tensor, "b d"], behind: Float[Tensor, "n d"]) -> Float[Tensor, "b d"]:
        bare, behind = bare.double(), behind.double().unflatten(0, (self.contexts, -1))
        return torch.cat([bare[None], behind]).mean(0) if self.flat else (bare + behind.mean(0)) / 2


def states(
    lm: LanguageModel, rows: Prompts, last: int, site: str = "block", beat: Callable[[], None] | None = None
) -> Float[Tensor, "d b"]:
    """The state at `site` of layer `last` at the subject of the bare prompts, float64."""
    return _columns(ActivationCache(lm, rows.bare, beat=beat).at([(site, last)])[site, last])


def finite(values: Float[Tensor, "d b"]) -> list[bool]:
    """Per column: whether all of it is finite."""
    return torch.isfinite(values).all(0).tolist()


def _columns(rows: Float[Tensor, "b d"]) -> Float[Tensor, "d b"]:
    return rows.double().T.contiguous()
