"""Portability: does the model answer questions that follow from an edited fact?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from core import ceiling
from core.charts.grammar import Chart
from core.editing.settings.parameters import param
from core.measures.outside.accepted_answers import answers_option, answers_protocol
from core.measures.study.result import StudyResult

if TYPE_CHECKING:
    from core.measures.study.case import Case


@dataclass(frozen=True, kw_only=True)
class Portability:
    """Questions that need the edited fact (aliases of the subject, one step of reasoning, …), by kind."""

    title: ClassVar[str] = "Portability"
    question: ClassVar[str] = "Can the model use an edited fact: with an alias, in a reasoning step, in reverse?"
    source: ClassVar[str] = "KnowEdit's portability lists"

    facts: int | None = param(
        100,
        ge=1,
        le=ceiling.FACTS,
        help="Number of facts tested, spread over those edited so far that have such questions; none: all.",
    )
    most: int | None = param(3, ge=1, le=ceiling.PER_FACT, help="Questions of each kind per fact; none: all.")
    answers: str = answers_option()

    def seconds(self, case: Case, rounds: Sequence[int]) -> float:
        """About how long it will take here."""
        from core.measures.outside.metrics import about_portability
        from core.measures.study.workload import fact_count, question_work

        each = sum(len(about_portability(0, fact, self.most)) for fact in case.facts) / max(1, len(case.facts))
        return question_work(case, 2 * fact_count(case, rounds, self.facts) * each).seconds(case.lm)

    def run(self, case: Case, rounds: Sequence[int]) -> StudyResult:
        """Table `portability`: the lane and the unedited model on the same questions, by kind and metric."""
        from core.measures.outside.metrics import about_portability, by_metric, counted, not_finite, rate_answers
        from core.measures.outside.scores import spread_sample
        from core.measures.study.loop import each_round

        table: list[dict[str, Any]] = []
        notes: list[str] = []
        for at, beat in each_round(case, rounds):
            having = [i for i in case.edited(at) or range(len(case.facts)) if case.facts[i].portability]
            chosen = spread_sample(having, self.facts, case.seed)
            queries = [each for i in chosen for each in about_portability(i, case.facts[i], self.most)]
            queries = counted(queries, self.answers)
            if not queries:
                notes.append(f"round {at}: these facts have no portability questions")
                continue
            pairs = [pair for each in queries for pair in each.pairs]
            for model, weights in (("unedited", {}), ("edited", case.weights(at))):
                with case.lm.worn(weights):
                    ratings = rate_answers(case.lm, pairs, beat)
                table += [{"round": at, "model": model} | row for row in by_metric(queries, ratings, case.seed)]
                notes += [f"round {at}, {model}: {note}" for note in not_finite(ratings)]
        return StudyResult(
            tables={"portability": [{"series": f"{row['model']}, {row['sense']}"} | row for row in table]},
            charts=[
                Chart(
                    table="portability",
                    kind="line",
                    x="round",
                    y="value",
                    by="series",
                    facet="kind",
                    y_low="low",
                    y_high="high",
                    title="Portability by kind",
                    x_title="after round",
                    y_title="mean over facts (share)",
                    unit="share",
                )
            ],
            protocol=(
                "Portability questions of facts edited so far, for the lane after the round and for the unedited model."
                f" {answers_protocol(self.answers)} Tokens: share of the answer's tokens that are the arg-max"
                " under teacher forcing; exact: all of them. No answer competes, so probabilities are not"
                " compared. Means within a fact, then over facts, by kind; 95 % intervals over facts."
            ),
            notes=notes,
            empty={"portability": "these facts have no portability questions"},
        )


STUDY = Portability
