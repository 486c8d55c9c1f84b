"""What edited facts are asked: their scores, locality and free answers, in one state of the model or in several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from core.facts.fact import Fact
from core.measures.outside import scores
from core.measures.outside.free_answers import FreeAnswers
from core.measures.outside.free_answers import Values as FreeValues
from core.measures.outside.locality import Locality, averages
from core.measures.outside.locality import Values as LocalityValues
from core.measures.session.moment import Apart
from core.models.language_model import LanguageModel


@dataclass
class AskedFacts:
    """Collects the answers to questions about facts, and gives their scores.

    `locality` and `free` are shared by all measured rounds; `paraphrases` and `neighbors` cap the questions of each
    fact.
    """

    lm: LanguageModel
    locality: Locality
    free: FreeAnswers | None
    paraphrases: int | None
    neighbors: int | None
    beat: Callable[[], None] | None = None
    facts: list[Fact] = field(default_factory=list)
    rows: list[scores.Row] = field(default_factory=list)
    kept: LocalityValues = field(default_factory=dict)
    said: FreeValues = field(default_factory=dict)
    not_numbers: int = 0
    broken: int = 0

    def ask(self, facts: Sequence[Fact], freely: Sequence[bool], answers: scores.Answers, edited: bool) -> None:
        """Ask about facts in the present state of the model, which `answers` belongs to; those that are `freely` asked
        also by free generation. `edited`: whether the state differs from the unedited model.

        Locality comes first: its ratings of the neighbors' answers serve the scores too.
        """
        first = len(self.facts)
        kept = self.locality.values(facts, self.beat, answers, edited, first)
        self.rows += scores.score_facts(answers, facts, self.paraphrases, self.neighbors)
        self.facts += facts
        _add(self.kept, kept)
        if self.free is not None:
            chosen = [(first + i, fact) for i, (fact, asked) in enumerate(zip(facts, freely, strict=True)) if asked]
            found, broken = self.free.values(chosen, self.paraphrases, self.neighbors, self.beat)
            _add(self.said, found)
            self.broken += broken

    def summary(self, seed: int) -> tuple[dict[str, Any], dict[str, list[float]]]:
        """(the columns of the facts' scores, their 95 % intervals)."""
        averaged = {**averages(self.kept, seed), **averages(self.said, seed)}
        columns: dict[str, Any] = scores.summarise(self.rows) | by_kind(self.facts, self.rows)
        columns |= {column: row and row["value"] for column, row in averaged.items()}
        intervals = scores.intervals(self.rows, seed)
        intervals |= {column: [row["low"], row["high"]] for column, row in averaged.items() if row}
        return columns, intervals


def in_states(
    lm: LanguageModel, chosen: Sequence[int], apart: Apart | None
) -> Iterator[tuple[list[int], AbstractContextManager[None]]]:
    """(facts, the context in which they are asked): all in the present state, or each part in its own."""
    if apart is None:
        yield list(chosen), nullcontext()
        return
    for some, weights in apart(chosen):
        yield some, lm.worn(weights)


def by_kind(facts: Sequence[Fact], rows: Sequence[scores.Row]) -> dict[str, float | None]:
    """The six scores of each kind of facts alone (`efficacy_known`, …); nothing if the facts have no kinds."""
    found: dict[str, float | None] = {}
    for kind in sorted({fact.kind for fact in facts} - {""}):
        of_kind = scores.summarise([row for fact, row in zip(facts, rows, strict=True) if fact.kind == kind])
        found |= {f"{column}_{kind}": value for column, value in of_kind.items()}
    return found


def _add(values: dict[str, list[Any]], more: Mapping[str, Sequence[Any]]) -> None:
    for column, pairs in more.items():
        values.setdefault(column, []).extend(pairs)
