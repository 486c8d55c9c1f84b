"""Ripples: unedited facts whose answers changed, and how they are related to the edits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from core import ceiling
from core.charts.grammar import Chart
from core.editing.settings.parameters import param
from core.measures.study.result import StudyResult

if TYPE_CHECKING:
    from core.measures.study.case import Case

NONE_ASKED = "this run has no unedited facts to test"
COLUMNS = ("round", "fact", "prompt", "object", "before", "after", "was_right", "is_right", "ties", "edit")


@dataclass(frozen=True, kw_only=True)
class Ripple:
    """Unedited facts whose greedy answer differs from the unedited model's, by their tie to the edited facts."""

    title: ClassVar[str] = "Ripples"
    question: ClassVar[str] = "Which unedited facts changed their answer, and what do they share with the edited ones?"
    source: ClassVar[str] = "This lab"

    facts: int | None = param(200, ge=1, le=ceiling.FACTS, help="Number of unedited facts tested; none: all.")

    def seconds(self, case: Case, rounds: Sequence[int]) -> float:
        """About how long it will take here."""
        from core.measures.study.workload import question_work

        facts = len(case.unedited) if self.facts is None else min(len(case.unedited), self.facts)
        return question_work(case, facts * (len(rounds) + 1)).seconds(case.lm)

    def run(self, case: Case, rounds: Sequence[int]) -> StudyResult:
        """Tables `counts` (by round and tie) and `changed` (every changed fact)."""
        from core.measures.outside.greedy import answer_lengths, decoded, greedy_ids
        from core.measures.outside.scores import spread_sample
        from core.measures.studies.ripple.ties import TIES, Edits, counted, ripples
        from core.measures.study.loop import each_round

        chosen = spread_sample(range(len(case.unedited)), self.facts, case.seed)
        facts = [case.unedited[i] for i in chosen]
        prompts = [fact.text for fact in facts]
        counts = answer_lengths(case.lm, [(fact.text, fact.target) for fact in facts])
        table: list[dict[str, Any]] = []
        changed: list[dict[str, Any]] = []
        notes = [] if facts else [NONE_ASKED]
        with case.lm.worn({}):
            before, _ = greedy_ids(case.lm, prompts, counts, case.beat)
        for at, beat in each_round(case, rounds if facts else ()):
            with case.lm.worn(case.weights(at)):
                after, broken = greedy_ids(case.lm, prompts, counts, beat)
            if broken:
                notes.append(f"round {at}: {broken:,} answers stopped early: their logits were not finite")
            edits = Edits.of([case.facts[i] for i in case.edited(at)])
            texts = list(zip(decoded(case.lm, before), decoded(case.lm, after), strict=True))
            rows = ripples(facts, before, after, texts, edits)
            table += [{"round": at} | row for row in counted(rows, case.seed)]
            for row in rows:
                if row["changed"]:
                    named = row | {"round": at, "fact": chosen[row["fact"]], "ties": ", ".join(row["ties"])}
                    changed.append({column: named[column] for column in COLUMNS})
        return StudyResult(
            tables={"counts": table, "changed": changed},
            charts=[
                Chart(
                    table="counts",
                    kind="line",
                    x="round",
                    y="share",
                    by="tie",
                    y_low="low",
                    y_high="high",
                    title="Unedited facts whose answer changed",
                    x_title="after round",
                    y_title="share of the facts with this tie",
                    unit="share",
                )
            ],
            protocol=(
                "Unedited facts, tested after the round. The answer is the greedy continuation, as many"
                " tokens as the true object has; it changed if any token differs from the unedited model's. A fact"
                f" counts under each tie that it has to any fact edited so far ({', '.join(TIES[:-1])}), or as"
                " unrelated; an edit's objects are its new one and its old one; the named edit is the last one with the"
                " first tie. Lost: correct before, wrong now. 95 % intervals over facts."
            ),
            notes=notes,
            empty={
                "counts": NONE_ASKED,
                "changed": "no tested fact changed its answer" if facts else NONE_ASKED,
            },
        )


STUDY = Ripple
