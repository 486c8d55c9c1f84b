"""Three metrics of an answer, all from one teacher-forced pass.

*probability*: the answer has a larger mean log-probability per token than its competitor (CounterFact's protocol; ties
count 0). *tokens*: the share of the answer's tokens that are the arg-max (ZsRE's and EasyEdit's token accuracy).
*exact*: whether all of them are (ROME's accuracy). A probability that is not finite is wrong in every metric. Questions
are averaged within a fact, then over facts; intervals are bootstrapped over facts (Wilson's where all agree).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.facts.fact import Fact, Question
from core.measures.outside.scores import pass_size, share_interval
from core.models.forward import score
from core.models.language_model import LanguageModel

METRICS = ("probability", "tokens", "exact")

Pair = tuple[str, str]


@dataclass(frozen=True)
class AnswerRating:
    """One answer under teacher forcing.

    `logprob`: mean log-probability per token; `tokens`: share of its tokens that are the arg-max; `exact`: whether all
    are (for an answer without a finite probability both are 0); `likeliest`: the id of the arg-max token at each of its
    positions; `argmax`: whether these are the answer's, finite or not.
    """

    logprob: float
    tokens: float
    exact: bool
    likeliest: tuple[int, ...] = ()
    argmax: bool = False

    @property
    def finite(self) -> bool:
        return math.isfinite(self.logprob)

    @property
    def probability(self) -> float:
        """The geometric mean of the tokens' probabilities; 0 where it is not finite."""
        return math.exp(self.logprob) if self.finite else 0.0


@dataclass(frozen=True)
class Query:
    """A question of a fact (its index): its `kind`, the answers that count as correct, and the one that they compete
    with, if any."""

    fact: int
    kind: str
    prompt: str
    answers: tuple[str, ...]
    other: str | None = None

    @property
    def pairs(self) -> list[Pair]:
        """The (prompt, answer) pairs to rate."""
        return [(self.prompt, answer) for answer in (*self.answers, self.other) if answer is not None]


def rate_answers(
    lm: LanguageModel, pairs: Iterable[Pair], beat: Callable[[], None] | None = None
) -> dict[Pair, AnswerRating]:
    """Each (prompt, answer) pair rated once by the model with its present weights, batched by length. `beat`:
    between passes."""
    todo = list(dict.fromkeys(pairs))
    rated = score(lm, [prompt for prompt, _ in todo], [answer for _, answer in todo], pass_size(lm), beat)
    ratings = {}
    for pair, logprob, hits, likeliest in zip(todo, rated.logprob.tolist(), rated.hits, rated.likeliest, strict=True):
        right = hits.double() * math.isfinite(logprob)
        ratings[pair] = AnswerRating(
            logprob, float(right.mean()), bool(right.all()), tuple(likeliest.tolist()), bool(hits.all())
        )
    return ratings


def metric_values(query: Query, ratings: Mapping[Pair, AnswerRating]) -> dict[str, float | None]:
    """The value of each of `METRICS`, by the best of the accepted answers; None if no answer competes."""
    rated = [ratings[query.prompt, answer] for answer in query.answers]
    wins = None
    if query.other is not None:
        other = ratings[query.prompt, query.other]
        wins = float(other.finite and any(each.finite and each.logprob > other.logprob for each in rated))
    return {
        "probability": wins,
        "tokens": max(each.tokens for each in rated),
        "exact": float(any(each.exact for each in rated)),
    }


def difference(query: Query, ratings: Mapping[Pair, AnswerRating]) -> float | None:
    """Probability of the (best) answer less that of the competing one, each a geometric mean over tokens."""
    if query.other is None:
        return None
    best = max(ratings[query.prompt, answer].probability for answer in query.answers)
    return best - ratings[query.prompt, query.other].probability


def averaged(values: Iterable[tuple[int, float | None]], seed: int = 0) -> dict[str, Any] | None:
    """`value, low, high, facts, questions` of (fact, value) pairs: the mean over facts of their means, with its 95 %
    bootstrap interval. None where no fact has a value."""
    by_fact: dict[int, list[float]] = defaultdict(list)
    for fact, value in values:
        if value is not None:
            by_fact[fact].append(value)
    if not by_fact:
        return None
    means = [sum(each) / len(each) for each in by_fact.values()]
    low, high = share_interval(means, seed)
    count = sum(map(len, by_fact.values()))
    return {"value": sum(means) / len(means), "low": low, "high": high, "facts": len(means), "questions": count}


def by_metric(queries: Sequence[Query], ratings: Mapping[Pair, AnswerRating], seed: int = 0) -> list[dict[str, Any]]:
    """A row per kind of question and metric: `kind, sense` (the metric) and the columns of `averaged`.

    Kinds are in the order of their first question; metrics that no question of a kind has are left out.
    """
    outcomes = [(each, metric_values(each, ratings)) for each in queries]
    rows = []
    for kind in dict.fromkeys(each.kind for each in queries):
        for name in METRICS:
            average = averaged(((each.fact, out[name]) for each, out in outcomes if each.kind == kind), seed)
            if average:
                rows.append({"kind": kind, "sense": name} | average)
    return rows


def not_finite(ratings: Mapping[Pair, AnswerRating]) -> list[str]:
    """A note on probabilities that are not finite, if there are any."""
    count = sum(not each.finite for each in ratings.values())
    return [f"{count:,} of {len(ratings):,} answers had no finite probability and count as wrong"] if count else []


def about_edit(index: int, fact: Fact, paraphrases: int | None = None) -> list[Query]:
    """The fact itself ("edit") and its paraphrases: the new object, against the old one if it is known."""
    other = fact.truth if fact.truth != fact.target else None
    kinds = [("edit", fact.text), *(("paraphrase", text) for text in fact.paraphrases[:paraphrases])]
    return [Query(index, kind, prompt, (fact.target, *fact.aliases), other) for kind, prompt in kinds]


def about_neighbors(index: int, fact: Fact, most: int | None = None) -> list[Query]:
    """What must not change, against the new object: neighbors ("neighborhood") and locality questions by kind, at most
    `most` of each kind."""
    near = [("neighborhood", n.prompt, (n.answer,)) for n in fact.neighborhood[:most]]
    far = [(q.kind, q.prompt, (q.answer, *q.aliases)) for q in first_of_kinds(fact.locality, most)]
    return [
        Query(index, kind, prompt, answers, fact.target if fact.target not in answers else None)
        for kind, prompt, answers in (*near, *far)
    ]


def about_portability(index: int, fact: Fact, most: int | None = None) -> list[Query]:
    """Questions that follow from the edited fact, by kind; they name no answer to compete with."""
    return [Query(index, q.kind, q.prompt, (q.answer, *q.aliases)) for q in first_of_kinds(fact.portability, most)]


def counted(queries: Sequence[Query], answers: str) -> list[Query]:
    """Questions with any of their accepted answers ("any"), or with the first alone ("first"), as in the R_k paper
    for records with several gold answers."""
    return [replace(each, answers=each.answers[:1]) if answers == "first" else each for each in queries]


def first_of_kinds(questions: Sequence[Question], most: int | None) -> list[Question]:
    """The first `most` questions of each kind (None: all), in their order."""
    counts: dict[str, int] = defaultdict(int)
    result = []
    for question in questions:
        counts[question.kind] += 1
        if most is None or counts[question.kind] <= most:
            result.append(question)
    return result
