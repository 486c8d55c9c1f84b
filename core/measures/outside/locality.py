"""Locality while a run goes on: do answers that no edit concerns stay right, and stay what they were?

Asked are a fact's neighbors and its dataset's locality questions (Natural Questions beside ZsRE, sentences about other
concepts beside ConceptEdit's, relation specificity and forgetfulness of KnowEdit, …), each with its first answer, all
under teacher forcing. Against the dataset's answer, without the neighbors, which have columns of their own:

    locality         P(answer) > P(the edit's new object), mean log-probability per token
    locality_exact   every token of the answer is the likeliest one
    locality_tokens  share of the answer's tokens that are (MEMIT's evaluation of ZsRE)

Against the unedited model, neighbors too:

    locality_kept    share of the answer's positions whose likeliest token is the unedited model's (MOSE, Eq. 27, by
                     tokens, as EasyEdit computes it)

The dataset's answer need not be what the model said before; `locality_kept` is 1 without edits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from core.facts.fact import Fact
from core.measures.outside.metrics import Pair, Sensed, about_neighbors, averaged, said, sense
from core.models.language_model import LanguageModel

COLUMNS = ("locality", "locality_exact", "locality_tokens", "locality_kept")
NEAR = "neighborhood"  # the kind of questions that have columns of their own


@dataclass
class Locality:
    """Asks of the worn model what should not change. What the unedited one says is remembered while the same is asked,
    as it is of every lane in a round."""

    lm: LanguageModel
    most: int | None = None  # questions of each kind per fact; None: all
    _before: tuple[tuple[Pair, ...], Mapping[Pair, Sensed]] = field(init=False, default=((), {}))

    def measure(
        self, facts: Sequence[Fact], seed: int = 0, beat: Callable[[], None] | None = None
    ) -> dict[str, dict[str, Any] | None]:
        """By column of `COLUMNS`, what `outside.metrics.averaged` says; None where there is nothing to ask."""
        asked = [
            replace(each, answers=each.answers[:1])
            for index, fact in enumerate(facts)
            for each in about_neighbors(index, fact, self.most)
        ]
        far = [each for each in asked if each.kind != NEAR]
        pairs = tuple(dict.fromkeys((each.prompt, each.answers[0]) for each in asked))
        now = sense(self.lm, pairs, beat)
        before = self._unedited(pairs, beat)
        rivals = sense(self.lm, [(each.prompt, each.other) for each in far if each.other is not None], beat)
        right = [(each.fact, said(each, {**rivals, **now})) for each in far]
        kept = [(each.fact, alike(now[pair], before[pair])) for each in asked for pair in each.pairs[:1]]
        return {
            "locality": averaged(((fact, senses["probability"]) for fact, senses in right), seed),
            "locality_exact": averaged(((fact, senses["exact"]) for fact, senses in right), seed),
            "locality_tokens": averaged(((fact, senses["tokens"]) for fact, senses in right), seed),
            "locality_kept": averaged(kept, seed),
        }

    def _unedited(self, pairs: tuple[Pair, ...], beat: Callable[[], None] | None) -> Mapping[Pair, Sensed]:
        """The same pairs in the same batches, so that rounding differs in nothing either."""
        if self._before[0] != pairs:
            with self.lm.worn({}):
                self._before = pairs, sense(self.lm, pairs, beat)
        return self._before[1]


def alike(now: Sensed, before: Sensed) -> float:
    """Share of the answer's positions at which both have the same likeliest token; 0 where `now` is not finite."""
    same = [one == other for one, other in zip(now.likeliest, before.likeliest, strict=True)]
    return sum(same) / len(same) if now.finite else 0.0
