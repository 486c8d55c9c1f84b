"""Generated text: continuations of a prompt before and after the edits, and whether they give the fact."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from core.facts.fact import Fact
from core.letters import inside_word, signed, spaceless, tidy
from core.measures.outside.greedy import answer_lengths, by_count
from core.models.generation import generate
from core.models.language_model import LanguageModel

Beat = Callable[[], None]
ENDED = 2  # tokens past a target: a quotation mark before it, and what shows that its last word ends


@dataclass
class Words:
    """Continuations of facts' prompts, of `tokens` tokens, or more if a target is longer. The base model's are
    cached."""

    lm: LanguageModel
    facts: Sequence[Fact]
    tokens: int = 8
    base: dict[int, str] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)

    def before(self, indices: Sequence[int], beat: Beat | None = None) -> list[str]:
        """The base model's continuations of these facts' prompts."""
        new = [i for i in dict.fromkeys(indices) if i not in self.base]
        if new:
            with self.lm.worn({}):
                self.base.update(zip(new, self._continue(new, beat), strict=True))
        return [self.base[i] for i in indices]

    def rows(
        self, weights: Mapping[int, torch.Tensor], indices: Sequence[int], beat: Beat | None = None
    ) -> list[dict[str, object]]:
        """A row per fact: `fact, prompt, target, truth, before, after, said`. `beat` is called between tokens."""
        before = self.before(indices, beat)
        after = before
        if weights and indices:
            with self.lm.worn(weights):
                after = self._continue(indices, beat)
        return [
            {
                "fact": index,
                "prompt": self.facts[index].text,
                "target": self.facts[index].target,
                "truth": self.facts[index].truth,
                "before": old,
                "after": new,
                "said": says_target(new, self.facts[index].target),
            }
            for index, old, new in zip(indices, before, after, strict=True)
        ]

    def after(
        self, weights: Mapping[int, torch.Tensor], prompts: Sequence[str], beat: Beat | None = None
    ) -> list[dict[str, str]]:
        """Continuations of other prompts: a row `prompt, text` each."""
        if not prompts:
            return []
        with self.lm.worn(weights):
            texts = generate(self.lm, list(prompts), self.tokens, beat=beat)
        return [{"prompt": prompt, "text": text.strip()} for prompt, text in zip(prompts, texts, strict=True)]

    def _continue(self, indices: Sequence[int], beat: Beat | None = None) -> list[str]:
        texts: dict[int, str] = {}
        for count, places in by_count(self._counted(indices)).items():
            chosen = [indices[place] for place in places]
            continued = generate(self.lm, [self.facts[i].text for i in chosen], count, beat=beat)
            texts.update(zip(chosen, continued, strict=True))
        return [texts[i].strip() for i in indices]

    def _counted(self, indices: Sequence[int]) -> list[int]:
        """The number of tokens needed to see whether each of these facts is given."""
        new = [i for i in dict.fromkeys(indices) if i not in self.counts]
        lengths = answer_lengths(self.lm, [(self.facts[i].text, self.facts[i].target) for i in new])
        self.counts.update((i, max(self.tokens, length + ENDED)) for i, length in zip(new, lengths, strict=True))
        return [self.counts[i] for i in indices]


def says_target(continuation: str, target: str) -> bool:
    """Whether a continuation begins with the target, letter case, spacing and opening punctuation aside.

    The target must end where a word or a number ends: "Parisian" does not say "Paris", nor "5.5" "5". In scripts
    without spaces any letter may end a word (`core.letters.inside_word`). A target without letters (an emoji, a mark)
    may follow opening quotes and brackets alone.
    """
    wanted, heard = normalised(target), normalised(continuation)
    if any(letter.isalnum() for letter in wanted):
        return heard.startswith(wanted) and _ends(heard, len(wanted))
    heard = tidy(continuation)
    while heard and not heard.startswith(wanted) and _opens(heard[0]):
        heard = heard[1:].lstrip()
    return bool(wanted) and heard.startswith(wanted) and not inside_word(heard, len(wanted))


def normalised(text: str) -> str:
    """Case folded, Unicode composed, spaces single, no spaces or punctuation at the start but a number's sign or point.

    A text without letters and digits keeps all its marks.
    """
    plain = tidy(text)
    start = next((i for i, letter in enumerate(plain) if letter.isalnum() or signed(plain, i)), 0)
    return plain[start:]


def _ends(text: str, at: int) -> bool:
    """Whether a word may end before `text[at]`; one that ends with a mark does not before a letter ("C++11")."""
    last, following = text[at - 1], text[at : at + 1]
    goes_on = following.isalnum() and not (spaceless(following) or spaceless(last))
    return not goes_on and not inside_word(text, at)


def _opens(letter: str) -> bool:
    """Whether a mark opens something that is quoted or put in brackets."""
    return letter in "\"'`*" or unicodedata.category(letter) in ("Ps", "Pi")
