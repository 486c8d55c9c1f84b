"""Retention: every round's facts, scored at every requested round; the forgetting curve and its half-life."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from core import ceiling
from core.charts.grammar import Chart
from core.editing.settings.parameters import param
from core.measures.outside.accepted_answers import answers_option, answers_protocol
from core.measures.study.result import StudyResult

if TYPE_CHECKING:
    from core.measures.studies.retention.cohorts import Outcomes
    from core.measures.study.case import Case


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How well the facts of a round are still reproduced after later rounds, by three metrics."""

    title: ClassVar[str] = "Retention"
    question: ClassVar[str] = (
        "How long do edits last: how does each round's cohort of facts score at every later round?"
    )
    source: ClassVar[str] = "Forgetting curves; the three metrics as in MEMIT, ZsRE and ROME"

    ask: str = param(
        "edit", choices=("edit", "paraphrase"), help="Prompts: the edited prompt, or the fact's paraphrases."
    )
    facts: int | None = param(20, ge=1, le=ceiling.FACTS, help="Facts tested per cohort, spread over it; none: all.")
    before: bool = param(False, help="Also test a cohort at rounds before its edit.")
    answers: str = answers_option()

    def seconds(self, case: Case, rounds: Sequence[int]) -> float:
        """About how long it will take here."""
        from core.measures.study.workload import question_work

        counts = [len(cohort) if self.facts is None else min(len(cohort), self.facts) for cohort in case.cohorts]
        each = 1.0
        if self.ask == "paraphrase":
            each = sum(len(fact.paraphrases) for fact in case.facts) / max(1, len(case.facts))
        facts = sum(sum(counts if self.before else counts[:t]) for t in rounds)
        return question_work(case, facts * each).seconds(case.lm)

    def run(self, case: Case, rounds: Sequence[int]) -> StudyResult:
        """Tables `matrix`, `forgetting`, `half_life`."""
        from core.measures.outside.metrics import METRICS
        from core.measures.studies.retention.cohorts import forgetting, half_life, matrix

        outcomes, notes = self._outcomes(case, rounds)
        curves = {sense: forgetting(outcomes[sense]) for sense in METRICS}
        nothing = f"no cohort had been edited at the asked rounds, or its facts have no {self.ask} to ask"
        lives = [
            {
                "sense": sense,
                "half_life": half_life(curve),
                "at_age_0": curve[0]["value"] if curve[0]["age"] == 0 else None,
                "oldest": curve[-1]["age"],
            }
            for sense, curve in curves.items()
            if curve
        ]
        if lives and all(row["at_age_0"] is None for row in lives):
            notes.append("no cohort was tested right after its edit, so the curve has no age 0 and no half-life")
        if not lives:
            notes.append(nothing)
        return StudyResult(
            tables={
                "matrix": [{"sense": sense} | row for sense in METRICS for row in matrix(outcomes[sense])],
                "forgetting": [{"sense": sense} | row for sense, curve in curves.items() for row in curve],
                "half_life": lives,
            },
            charts=_charts(),
            protocol=(
                f"{self.ask.capitalize()} of {self.facts or 'all'} facts per cohort, each scored at each asked round by"
                " the lane as it was then, against the old object where it is known. A cohort's age is the number of"
                " rounds since its own. Curve: mean over all facts scored at an age, with a 95 % interval from"
                " resampled cohorts; older ages rest on fewer and earlier cohorts. Half-life: the first age (straight"
                " lines between) at which the curve falls to half of its value at age 0; none if it does not."
                f" {answers_protocol(self.answers)}"
            ),
            notes=notes,
            empty=dict.fromkeys(("matrix", "forgetting", "half_life"), nothing),
        )

    def _outcomes(self, case: Case, rounds: Sequence[int]) -> tuple[Mapping[str, Outcomes], list[str]]:
        """By metric, the scores of each (cohort, round), one per fact; and notes."""
        from core.measures.outside.metrics import METRICS, about_edit, counted, metric_values, not_finite, rate_answers
        from core.measures.outside.scores import mean, spread_sample
        from core.measures.study.loop import each_round

        outcomes: dict[str, dict[tuple[int, int], list[float]]] = {name: {} for name in METRICS}
        notes: list[str] = []
        chosen = [spread_sample(list(cohort), self.facts, case.seed) for cohort in case.cohorts]
        queries = {
            i: counted([a for a in about_edit(i, case.facts[i]) if a.kind == self.ask], self.answers)
            for cohort in chosen
            for i in cohort
        }
        for at, beat in each_round(case, rounds):
            last = len(chosen) if self.before else at
            present = [(number, cohort) for number, cohort in enumerate(chosen[:last], 1)]
            with case.lm.worn(case.weights(at)):
                pairs = [pair for _, cohort in present for i in cohort for each in queries[i] for pair in each.pairs]
                ratings = rate_answers(case.lm, pairs, beat)
            notes += [f"round {at}: {note}" for note in not_finite(ratings)]
            for number, cohort in present:
                answered = [[metric_values(each, ratings) for each in queries[i]] for i in cohort]
                for name in METRICS:
                    values = [mean([v for each in fact if (v := each[name]) is not None]) for fact in answered]
                    outcomes[name][number, at] = [value for value in values if value is not None]
        return outcomes, notes


def _charts() -> list[Chart]:
    return [
        Chart(
            table="matrix",
            kind="heat",
            x="round",
            y="cohort",
            z="value",
            facet="sense",
            title="Score of each cohort at each round",
            x_title="scored after round",
            y_title="edited in round",
        ),
        Chart(
            table="forgetting",
            kind="line",
            x="age",
            y="value",
            by="sense",
            y_low="low",
            y_high="high",
            title="Forgetting curve",
            x_title="rounds since the edit",
            y_title="mean score (share)",
            unit="share",
        ),
    ]


STUDY = Retention
