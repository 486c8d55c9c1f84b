"""Efficacy, paraphrase, neighborhood, and recall of unedited facts.

Two metrics of every question, with different names. *Probability comparison* (MEMIT's CounterFact protocol): does the
new object have a larger mean log-probability per token than the old one (for neighbors: the true one than the new)?
Ties count 0. *Exact* (ROME's accuracy; `_exact`): is every token of the correct answer the arg-max under teacher
forcing? Correct is the new object for the fact and its paraphrases, the true one for neighbors and unedited facts.
Questions are averaged within a fact, then over facts.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from core.facts.fact import Fact
from core.models.forward import score
from core.models.language_model import LanguageModel

Row = dict[str, float | None]

Z = 1.959964  # of the normal distribution: 95 % lie within
COLUMNS = ("efficacy", "paraphrase", "neighborhood", "efficacy_exact", "paraphrase_exact", "neighborhood_exact")
CPU_PASS = 512  # tokens of a pass on a CPU: more would only add padding, and keep a heartbeat waiting


def pass_size(lm: LanguageModel) -> int:
    """Tokens per pass: rows of similar length together, a heartbeat between passes."""
    return CPU_PASS if lm.device.type == "cpu" else lm.token_budget


@dataclass(frozen=True)
class Rated:
    """The model's rating of one answer."""

    logprob: float
    exact: bool


@dataclass
class Answers:
    """Rates each (prompt, answer) pair once and caches the rating. The model's weights must not change meanwhile."""

    lm: LanguageModel
    heartbeat: Callable[[], None] | None = None
    known: dict[tuple[str, str], Rated] = field(default_factory=dict)

    def rate(self, pairs: Sequence[tuple[str, str]]) -> list[Rated]:
        """The ratings of these (prompt, answer) pairs, in order."""
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self.known]
        scores = score(self.lm, [p for p, _ in new], [a for _, a in new], pass_size(self.lm), self.heartbeat)
        rows = zip(scores.logprob.tolist(), scores.exact.tolist(), strict=True)
        self.known.update(zip(new, (Rated(*row) for row in rows), strict=True))
        return [self.known[pair] for pair in pairs]

    @property
    def not_numbers(self) -> int:
        """How many ratings are NaN: they count as failures."""
        return sum(math.isnan(rated.logprob) for rated in self.known.values())


def questions(
    fact: Fact, paraphrases: int | None, neighbors: int | None, direct_only: bool = False
) -> dict[str, list[tuple[str, str, str | None]]]:
    """(prompt, wanted answer, the answer it competes with or None) by column, for one fact.

    A neighbor whose true answer is the new object itself has nothing to compare: it is exact only.
    """
    result = {"efficacy": [(fact.text, fact.target, fact.truth)]}
    if not direct_only:
        result["paraphrase"] = [(text, fact.target, fact.truth) for text in fact.paraphrases[:paraphrases]]
        result["neighborhood"] = [(n.prompt, n.answer, fact.target) for n in fact.neighborhood[:neighbors]]
    return {
        column: [(prompt, wanted, other if other != wanted else None) for prompt, wanted, other in rows]
        for column, rows in result.items()
    }


def score_facts(
    answers: Answers,
    facts: Sequence[Fact],
    paraphrases: int | None = None,
    neighbors: int | None = None,
    direct_only: bool = False,
) -> list[Row]:
    """A row per fact with the six `COLUMNS`: shares of its questions, None where it has no such question.

    `paraphrases` and `neighbors` cap how many of each are asked (None: all); `direct_only` asks the fact alone.
    """
    by_fact = [questions(fact, paraphrases, neighbors, direct_only) for fact in facts]
    every = [question for columns in by_fact for rows in columns.values() for question in rows]
    answers.rate(pairs_of(every))
    rows = []
    for columns in by_fact:
        row: Row = dict.fromkeys(COLUMNS)
        for column, rows_ in columns.items():
            wins = [wins_over(answers, prompt, wanted, other) for prompt, wanted, other in rows_ if other is not None]
            hits = [answers.known[prompt, wanted].exact for prompt, wanted, _ in rows_]
            row[column], row[f"{column}_exact"] = mean(wins), mean(hits)
        rows.append(row)
    return rows


def pairs_of(rows: Sequence[tuple[str, str, str | None]]) -> list[tuple[str, str]]:
    """The (prompt, answer) pairs to rate, those of a prompt side by side so that they share a pass."""
    return [(prompt, answer) for prompt, *both in rows for answer in both if answer is not None]


def wins_over(answers: Answers, prompt: str, wanted: str, other: str) -> bool:
    """Whether `wanted` is more probable than `other`, by mean log-probability per token. Ties and NaN: no."""
    return answers.known[prompt, wanted].logprob > answers.known[prompt, other].logprob


def recall(answers: Answers, facts: Sequence[Fact]) -> list[float]:
    """1.0 for every fact whose `target` is exactly reproduced, else 0.0. For facts that were not edited."""
    return [float(rated.exact) for rated in answers.rate([(fact.text, fact.target) for fact in facts])]


def summarise(rows: Sequence[Mapping[str, float | None]]) -> Row:
    """The mean of each column over the facts that have it."""
    return {column: mean([row[column] for row in rows if row[column] is not None]) for column in COLUMNS}


def intervals(rows: Sequence[Mapping[str, float | None]], seed: int = 0) -> dict[str, list[float]]:
    """[low, high]: 95 % intervals of the columns' means over facts."""
    values = {column: [row[column] for row in rows if row[column] is not None] for column in COLUMNS}
    return {column: list(share_interval(v, seed)) for column, v in values.items() if v}


def bootstrap(values: Sequence[float | None], seed: int = 0, draws: int = 1000) -> tuple[float, float]:
    """Percentile bootstrap: the middle 95 % of the means of `draws` resamples of the values."""
    numbers = np.asarray(values, dtype=float)
    chosen = np.random.default_rng(seed).integers(len(numbers), size=(draws, len(numbers)))
    low, high = np.quantile(numbers[chosen].mean(1), [0.025, 0.975])
    return float(low), float(high)


def share_interval(shares: Sequence[float | None], seed: int = 0) -> tuple[float, float]:
    """95 % interval of a mean of shares: by bootstrap, and by Wilson's score where all are 0 or all are 1. There every
    resample is the same, but n of n is no proof that all others would be."""
    numbers = np.asarray(shares, dtype=float)
    beyond = Z**2 / (len(numbers) + Z**2)
    if bool((numbers == 0).all()):
        return 0.0, beyond
    if bool((numbers == 1).all()):
        return 1 - beyond, 1.0
    return bootstrap(shares, seed)


def spread_sample(items: Sequence[int], count: int | None, seed: int) -> list[int]:
    """`count` of the items, one from each of `count` equal stretches of them (all, if there are no more).

    Items come in the order of their edits, so early and late rounds are represented alike. The same seed and items
    give the same sample, so lanes are compared on the same facts.
    """
    if count is None or len(items) <= count:
        return list(items)
    rng = random.Random(f"{seed} {len(items)}")
    edges = [round(i * len(items) / count) for i in range(count + 1)]
    return [items[rng.randrange(start, stop)] for start, stop in zip(edges[:-1], edges[1:], strict=True)]


def mean(values: Sequence[float | bool | None]) -> float | None:
    """The mean; None for an empty sequence."""
    return sum(float(v) for v in values if v is not None) / len(values) if values else None
