"""Edit, paraphrase and neighborhood by three metrics, with intervals, over rounds."""

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

KINDS = ("edit", "paraphrase", "neighborhood")


@dataclass(frozen=True, kw_only=True)
class Scores:
    """CounterFact's probability comparison, ZsRE's token accuracy and the strict exact match, side by side."""

    title: ClassVar[str] = "Scores by three metrics"
    question: ClassVar[str] = (
        "How do efficacy, paraphrase and neighborhood scores develop, by the field's three metrics?"
    )
    source: ClassVar[str] = "MEMIT (probabilities), MEND and EasyEdit (token accuracy), ROME (exact)"

    facts: int | None = param(
        100, ge=1, le=ceiling.FACTS, help="Number of facts scored, spread over all edited so far; none: all."
    )
    paraphrases: int | None = param(2, ge=0, le=ceiling.PER_FACT, help="Paraphrases per fact; none: all.")
    neighbors: int | None = param(10, ge=0, le=ceiling.PER_FACT, help="Neighbors per fact; none: all.")
    answers: str = answers_option()

    def seconds(self, case: Case, rounds: Sequence[int]) -> float:
        """About how long it will take here."""
        from core.measures.study.workload import fact_count, question_work

        questions = [fact.paraphrases[: self.paraphrases] + fact.neighborhood[: self.neighbors] for fact in case.facts]
        each = 1 + sum(map(len, questions)) / max(1, len(questions))
        return question_work(case, fact_count(case, rounds, self.facts) * each).seconds(case.lm)

    def run(self, case: Case, rounds: Sequence[int]) -> StudyResult:
        """Tables `scores`, `differences` (of probabilities) and `overall` (harmonic mean of the three comparisons)."""
        from core.measures.outside.metrics import (
            about_edit,
            about_neighbors,
            averaged,
            by_metric,
            counted,
            difference,
            not_finite,
            rate_answers,
        )
        from core.measures.study.loop import each_round, facts_at

        scores: list[dict[str, Any]] = []
        differences: list[dict[str, Any]] = []
        overall: list[dict[str, Any]] = []
        notes: list[str] = []
        for at, beat in each_round(case, rounds):
            chosen = facts_at(case, at, self.facts)
            queries = [
                each
                for i in chosen
                for each in (
                    *about_edit(i, case.facts[i], self.paraphrases),
                    *about_neighbors(i, case.facts[i], self.neighbors),
                )
                if each.kind in KINDS
            ]
            queries = counted(queries, self.answers)
            with case.lm.worn(case.weights(at)):
                ratings = rate_answers(case.lm, (pair for each in queries for pair in each.pairs), beat)
            notes += [f"round {at}: {note}" for note in not_finite(ratings)]
            rows = by_metric(queries, ratings, case.seed)
            scores += [{"round": at} | row for row in rows]
            for kind in KINDS:
                average = averaged(((e.fact, difference(e, ratings)) for e in queries if e.kind == kind), case.seed)
                differences += [{"round": at, "kind": kind} | average] if average else []
            three = [row["value"] for row in rows if row["sense"] == "probability"]
            overall.append({"round": at, "harmonic_mean": harmonic(three) if len(three) == len(KINDS) else None})
        if any(row["harmonic_mean"] is None for row in overall):
            notes.append("no overall score: the facts lack an old object, paraphrases or neighbors to compare")
        return StudyResult(
            tables={"scores": scores, "differences": differences, "overall": overall},
            charts=[
                Chart(
                    table="scores",
                    kind="line",
                    x="round",
                    y="value",
                    by="sense",
                    facet="kind",
                    y_low="low",
                    y_high="high",
                    title="Edit, paraphrase, neighborhood",
                    x_title="after round",
                    y_title="mean over facts (share)",
                    unit="share",
                )
            ],
            protocol=(
                f"All facts edited so far (before the first round: all to be edited), {self.facts or 'all'} of them,"
                " scored after the round. Probability: the wanted answer has the larger mean log-probability per token"
                " than the other one (new against old object; for neighbors the true answer against the new object);"
                " ties count 0. Tokens: share of the answer's tokens that are the arg-max under teacher forcing"
                " (ZsRE). Exact: all of them are. Questions are averaged within a fact, then over facts; 95 % intervals"
                f" over facts. {answers_protocol(self.answers)}"
            ),
            notes=notes,
            empty={
                "scores": "the run has no facts to score",
                "differences": "no question has an answer to compare with: neither old objects nor neighbors",
            },
        )


def harmonic(values: Sequence[float]) -> float:
    """The harmonic mean; 0 if one of them is 0."""
    return len(values) / sum(1 / value for value in values) if min(values) > 0 else 0.0


STUDY = Scores
