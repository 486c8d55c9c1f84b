"""The model's own words: how it continues a prompt before and after the edits, and whether that says the fact."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from core.facts.fact import Fact
from core.models.generation import generate
from core.models.language_model import LanguageModel


@dataclass
class Words:
    """Continuations of facts' prompts. The base model's are remembered: they never change."""

    lm: LanguageModel
    facts: Sequence[Fact]
    tokens: int = 8
    base: dict[int, str] = field(default_factory=dict)

    def before(self, indices: Sequence[int]) -> list[str]:
        """What the base model says after these facts' prompts."""
        new = [i for i in dict.fromkeys(indices) if i not in self.base]
        if new:
            with self.lm.worn({}):
                self.base.update(zip(new, self._continue(new), strict=True))
        return [self.base[i] for i in indices]

    def rows(self, weights: Mapping[int, torch.Tensor], indices: Sequence[int]) -> list[dict[str, object]]:
        """A row per fact: `fact, prompt, target, truth, before, after, said`."""
        before = self.before(indices)
        after = before
        if weights and indices:
            with self.lm.worn(weights):
                after = self._continue(indices)
        return [
            {
                "fact": index,
                "prompt": self.facts[index].text,
                "target": self.facts[index].target,
                "truth": self.facts[index].truth,
                "before": old,
                "after": new,
                "said": said(new, self.facts[index].target),
            }
            for index, old, new in zip(indices, before, after, strict=True)
        ]

    def after(self, weights: Mapping[int, torch.Tensor], prompts: Sequence[str]) -> list[dict[str, str]]:
        """What the model says after other prompts: a row `prompt, text` each."""
        if not prompts:
            return []
        with self.lm.worn(weights):
            texts = generate(self.lm, list(prompts), self.tokens)
        return [{"prompt": prompt, "text": text.strip()} for prompt, text in zip(prompts, texts, strict=True)]

    def _continue(self, indices: Sequence[int]) -> list[str]:
        return [text.strip() for text in generate(self.lm, [self.facts[i].text for i in indices], self.tokens)]


def said(continuation: str, target: str) -> bool:
    """Whether a continuation begins with the target, letter case, spacing and opening punctuation aside.

    The target must end where a word ends: "Parisian" does not say "Paris".
    """
    heard, wanted = normalised(continuation), normalised(target)
    rest = heard[len(wanted) :]
    return bool(wanted) and heard.startswith(wanted) and not rest[:1].isalnum()


def normalised(text: str) -> str:
    """Case folded, Unicode composed, spaces single, no spaces or punctuation at the start."""
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    start = next((i for i, letter in enumerate(plain) if letter.isalnum()), len(plain))
    return plain[start:]
