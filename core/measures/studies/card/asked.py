"""What the card asks: known facts and tasks, always the same, of the model with any weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from core.facts.fact import Fact
from core.measures.outside.scores import Answers, mean
from core.measures.outside.tasks import Tasks
from core.measures.studies.card.limits import NEAR_CHANCE
from core.measures.study.case import Case, Weights

TRUE, FACTS, MEAN = "true facts", "known facts", "mean of tasks"
Rows = list[dict[str, Any]]


@dataclass
class Asker:
    """Scores by name: `FACTS` (the share of known facts that are said exactly), each task, and `MEAN` over the tasks.

    `known` are facts that the intact model says. Of the tasks those count whose intact score is more than
    `NEAR_CHANCE` above chance (`told`): nothing can be seen to be lost of the others. `done` of `total` evaluations
    are finished.
    """

    case: Case
    known: Sequence[Fact]
    tasks: Tasks | None
    total: int
    done: int = 0
    intact: dict[str, float] = field(init=False)
    told: list[str] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.told = list(self.tasks.info) if self.tasks else []
        first = self({})
        self.told = [name for name in self.told if first[name] - (self.chance(name) or 0.0) > NEAR_CHANCE]
        self.intact = self._with_mean({name: first[name] for name in first if name != MEAN})

    def __call__(self, weights: Weights) -> dict[str, float]:
        """The scores of the model with these down-projections, by name."""
        self._beat()
        scores: dict[str, float] = {}
        with self.case.lm.worn(weights):
            if self.known:
                scores[FACTS] = self.recall(self.known)
            if self.tasks:
                scores |= self.tasks.evaluate(self._beat)
        self.done += 1
        return self._with_mean(scores)

    def recall(self, facts: Sequence[Fact]) -> float:
        """The share of facts whose target is exact, by the model with its present weights."""
        rated = Answers(self.case.lm, self._beat).rate([(fact.text, fact.target) for fact in facts])
        return mean([answer.exact for answer in rated]) or 0.0

    def chance(self, name: str) -> float | None:
        """The level of guessing: a task's own, 0 for one without choices; of `MEAN` the mean; None for facts."""
        if name == FACTS or self.tasks is None:
            return None
        if name == MEAN:
            return mean([self.chance(task) for task in self.told])
        return self.tasks.info[name].get("chance") or 0.0

    def items(self, name: str) -> int:
        """How many facts or items a score is of; of `MEAN` all items of its tasks."""
        if name == FACTS or self.tasks is None:
            return len(self.known)
        return sum(self.tasks.info[task]["items"] for task in (self.told if name == MEAN else [name]))

    def rows(self, scores: dict[str, float], **about: Any) -> Rows:
        """A row per score: `asked`, `kind` ("summary" for facts and the mean, else "task"), the score, as a share of
        the intact model's, and the level of guessing."""
        return [
            about
            | {"asked": name, "kind": "summary" if name in (FACTS, MEAN) else "task", "score": value}
            | {"relative": value / self.intact[name] if self.intact[name] else None, "chance": self.chance(name)}
            for name, value in scores.items()
        ]

    def skip(self, count: int) -> None:
        """Count evaluations that are not needed as done."""
        self.done += count

    def _with_mean(self, scores: dict[str, float]) -> dict[str, float]:
        average = mean([scores[name] for name in self.told])
        first = {FACTS: scores[FACTS]} if FACTS in scores else {}
        return first | ({} if average is None else {MEAN: average}) | scores

    def _beat(self) -> None:
        self.case.report(self.done, self.total)
