"""Locality: does the lane still answer as the unedited model does, token by token, and is that still correct?"""

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
    from core.measures.outside.metrics import Query
    from core.measures.study.case import Case


@dataclass(frozen=True, kw_only=True)
class Locality:
    """Neighbors and locality questions by kind: compared with the unedited model's continuations, and with the true
    answer."""

    title: ClassVar[str] = "Locality"
    question: ClassVar[str] = (
        "Do answers that no edit concerns stay the same, token by token, and do they stay correct?"
    )
    source: ClassVar[str] = "R_k paper, Table 40 (token-level locality); CounterFact, ZsRE, KnowEdit"

    facts: int | None = param(
        100, ge=1, le=ceiling.FACTS, help="Number of facts tested, spread over all edited so far; none: all."
    )
    most: int | None = param(2, ge=1, le=ceiling.PER_FACT, help="Questions of each kind per fact; none: all.")
    answers: str = answers_option()
    tokens: int | None = param(
        None,
        ge=1,
        le=ceiling.WORD_TOKENS,
        help="Tokens of the greedy continuations to compare; none: as many as the true answer has.",
    )

    def seconds(self, case: Case, rounds: Sequence[int]) -> float:
        """About how long it will take here."""
        from core.measures.outside.metrics import about_neighbors
        from core.measures.study.workload import ANSWER, fact_count, question_work

        each = sum(len(about_neighbors(0, fact, self.most)) for fact in case.facts) / max(1, len(case.facts))
        questions = fact_count(case, rounds, self.facts) * each
        said = question_work(case, 2 * questions, self.tokens or ANSWER)
        return (said + question_work(case, questions)).seconds(case.lm)

    def run(self, case: Case, rounds: Sequence[int]) -> StudyResult:
        """Tables `kept` (against the unedited model) and `right` (against the true answer)."""
        from core.measures.outside.greedy import greedy_ids, match_ratio
        from core.measures.outside.metrics import (
            about_neighbors,
            averaged,
            by_metric,
            counted,
            not_finite,
            rate_answers,
        )
        from core.measures.study.loop import each_round, facts_at

        kept: list[dict[str, Any]] = []
        right: list[dict[str, Any]] = []
        notes: list[str] = []
        for at, beat in each_round(case, rounds):
            chosen = facts_at(case, at, self.facts)
            queries = [each for i in chosen for each in about_neighbors(i, case.facts[i], self.most)]
            queries = counted(queries, self.answers)
            if not queries:
                notes.append(f"round {at}: these facts have neither neighbors nor locality questions")
                continue
            prompts, counts = [each.prompt for each in queries], self._counts(case, queries)
            with case.lm.worn({}):
                before, _ = greedy_ids(case.lm, prompts, counts, beat)
            with case.lm.worn(case.weights(at)):
                after, broken = greedy_ids(case.lm, prompts, counts, beat)
                ratings = rate_answers(case.lm, (pair for each in queries for pair in each.pairs), beat)
            notes += [f"round {at}: {note}" for note in not_finite(ratings)]
            if broken:
                notes.append(f"round {at}: {broken:,} continuations stopped early: their logits were not finite")
            pairs = list(zip(queries, before, after, strict=True))
            for kind in dict.fromkeys(each.kind for each in queries):
                of = [(each.fact, old, new) for each, old, new in pairs if each.kind == kind]
                ratio = averaged(((fact, match_ratio(old, new)) for fact, old, new in of), case.seed)
                exact = averaged(((fact, float(old == new)) for fact, old, new in of), case.seed)
                for measure, average in (("match ratio", ratio), ("exact match", exact)):
                    kept.append({"round": at, "kind": kind, "measure": measure} | (average or {}))
            right += [{"round": at} | row for row in by_metric(queries, ratings, case.seed)]
        length = f"{self.tokens} tokens" if self.tokens else "as many tokens as the true answer has"
        return StudyResult(
            tables={"kept": kept, "right": right},
            charts=[
                _chart("kept", "measure", "Same words as the unedited model"),
                _chart("right", "sense", "Still right"),
            ],
            protocol=(
                f"Neighbors and locality questions of facts edited so far. Kept: greedy continuations of {length} by"
                " the unedited model and by the lane; match ratio: share of the unedited model's tokens found at the"
                " same position (missing ones differ), exact match: all equal. Right: against the dataset's answer,"
                " which the unedited model may not have given; probability compares it with the edit's new object."
                f" {answers_protocol(self.answers)} Means within a fact, then over facts; 95 % intervals over facts."
            ),
            notes=notes,
            empty=dict.fromkeys(("kept", "right"), "these facts have neither neighbors nor locality questions"),
        )

    def _counts(self, case: Case, queries: Sequence[Query]) -> list[int]:
        """Tokens of each continuation that are compared."""
        from core.measures.outside.greedy import answer_lengths

        if self.tokens:
            return [self.tokens] * len(queries)
        return answer_lengths(case.lm, [(each.prompt, each.answers[0]) for each in queries])


def _chart(table: str, by: str, title: str) -> Chart:
    return Chart(
        table=table,
        kind="line",
        x="round",
        y="value",
        by=by,
        facet="kind",
        y_low="low",
        y_high="high",
        title=title,
        x_title="after round",
        y_title="mean over facts (share)",
        unit="share",
    )


STUDY = Locality
