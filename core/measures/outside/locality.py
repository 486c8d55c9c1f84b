"""Locality during a run: are answers that no edit concerns still correct, and still those of the unedited model?

The questions are a fact's neighbors and its dataset's locality questions (Natural Questions beside ZsRE, sentences
about other concepts beside ConceptEdit's, relation specificity and forgetfulness of KnowEdit, …), each with its first
answer, all under teacher forcing. Compared with the dataset's answer, without the neighbors, which have columns of
their own:

    locality         P(answer) > P(the edit's new object), mean log-probability per token
    locality_exact   every token of the answer is the likeliest one
    locality_tokens  share of the answer's tokens that are (MEMIT's evaluation of ZsRE)

Against the unedited model, neighbors too:

    locality_kept    share of the answer's positions whose likeliest token is the unedited model's (MOSE, Eq. 27, by
                     tokens, as EasyEdit computes it)

The dataset's answer need not be what the model said before; `locality_kept` is 1 without edits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from core.facts.fact import Fact
from core.measures.outside.metrics import AnswerRating, Pair, about_neighbors, averaged, metric_values, rate_answers
from core.measures.outside.scores import Answers, Rated
from core.models.language_model import LanguageModel

Values = dict[str, list[tuple[int, float | None]]]  # (fact, value) pairs by column

COLUMNS = ("locality", "locality_exact", "locality_tokens", "locality_kept")
NEAR = "neighborhood"  # the kind of questions that have columns of their own
REMEMBERED = 20_000  # answers of the unedited model; beyond that they are rated again


@dataclass
class Locality:
    """Asks the model questions whose answers should not change.

    The unedited model's answers are cached: every lane of a round asks the same questions.
    """

    lm: LanguageModel
    most: int | None = None  # questions of each kind per fact; None: all
    _unedited: dict[tuple[Pair, ...], Mapping[Pair, AnswerRating]] = field(init=False, default_factory=dict)

    def measure(
        self,
        facts: Sequence[Fact],
        seed: int = 0,
        beat: Callable[[], None] | None = None,
        answers: Answers | None = None,
        edited: bool = True,
    ) -> dict[str, dict[str, Any] | None]:
        """The results of `outside.metrics.averaged`, by column of `COLUMNS`; None if there is no question. The
        arguments are those of `values`."""
        return averages(self.values(facts, beat, answers, edited), seed)

    def values(
        self,
        facts: Sequence[Fact],
        beat: Callable[[], None] | None = None,
        answers: Answers | None = None,
        edited: bool = True,
        first: int = 0,
    ) -> Values:
        """The value of each question, by column of `COLUMNS`; facts count from `first`.

        The ratings of neighbors' answers are added to `answers`, so that scores need not compute them again. `edited`
        is whether the present weights differ from the unedited ones; if not, the model is asked once.
        """
        queries = [
            replace(query, answers=query.answers[:1])
            for index, fact in enumerate(facts, first)
            for query in about_neighbors(index, fact, self.most)
        ]
        pairs = tuple(dict.fromkeys(pair for query in queries for pair in query.pairs))
        now = rate_answers(self.lm, pairs, beat)
        before = self._before(pairs, beat) if edited else now
        if answers is not None:
            near = [pair for query in queries if query.kind == NEAR for pair in query.pairs]
            answers.known.update((pair, Rated(now[pair].logprob, now[pair].argmax)) for pair in near)
        far = [(query.fact, metric_values(query, now)) for query in queries if query.kind != NEAR]
        same = [(query.fact, alike(now[query.pairs[0]], before[query.pairs[0]])) for query in queries]
        return {
            "locality": [(fact, values["probability"]) for fact, values in far],
            "locality_exact": [(fact, values["exact"]) for fact, values in far],
            "locality_tokens": [(fact, values["tokens"]) for fact, values in far],
            "locality_kept": list(same),
        }

    def _before(self, pairs: tuple[Pair, ...], beat: Callable[[], None] | None) -> Mapping[Pair, AnswerRating]:
        """The unedited model's ratings of the same pairs, in the same batches, so that rounding is the same."""
        if pairs not in self._unedited:
            if sum(map(len, self._unedited)) > REMEMBERED:
                self._unedited.clear()
            with self.lm.worn({}):
                self._unedited[pairs] = rate_answers(self.lm, pairs, beat)
        return self._unedited[pairs]


def averages(
    values: Mapping[str, Iterable[tuple[int, float | None]]], seed: int = 0
) -> dict[str, dict[str, Any] | None]:
    """The means over facts with their intervals, by column; None where there is no question."""
    return {column: averaged(pairs, seed) for column, pairs in values.items()}


def alike(now: AnswerRating, before: AnswerRating) -> float:
    """Share of the answer's positions at which both have the same arg-max token; 0 if `now` is not finite."""
    same = [a == other for a, other in zip(now.likeliest, before.likeliest, strict=True)]
    return sum(same) / len(same) if now.finite else 0.0
