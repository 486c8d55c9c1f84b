"""Free generation: whether the lane's answers are correct, fluent, and on the subject."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from core import ceiling
from core.charts.grammar import Chart
from core.editing.settings.parameters import param
from core.measures.outside.accepted_answers import answers_option, answers_protocol
from core.measures.study.result import StudyResult
from core.names import Names
from core.paths import ASSETS

if TYPE_CHECKING:
    from core.measures.outside.free_text import TfIdf
    from core.measures.outside.judge import Judge
    from core.measures.study.case import Case


NO_REFERENCES = (
    "these facts have no references: no consistency (CounterFact keeps such texts in a separate file, by"
    " relation and new object; give a record's texts as its references)"
)


@dataclass(frozen=True, kw_only=True)
class Generation:
    """Greedy answers matched with the accepted ones; sampled texts for fluency and consistency; a judge if named."""

    title: ClassVar[str] = "Free generation"
    question: ClassVar[str] = "Does the model state the new fact in free text, fluently and consistently?"
    source: ClassVar[str] = "R_k paper (free generation, judge); ROME and MEMIT (fluency, consistency)"

    facts: int | None = param(
        30, ge=1, le=ceiling.FACTS, help="Facts tested, spread over all edited so far; none: all."
    )
    tokens: int = param(50, ge=1, le=ceiling.WORD_TOKENS, help="Maximum length of a greedy answer in tokens.")
    length: int = param(
        100, ge=2, le=ceiling.WORD_TOKENS, help="Length of a sampled text in tokens, including the prompt."
    )
    prompts: int = param(3, ge=1, le=ceiling.PER_FACT, help="Sampled texts per fact.")
    answers: str = answers_option()
    judge: str | None = param(
        None,
        names=Names.MODEL,
        help="A causal language model that judges whether answers agree: a folder, a hub id or pocket.",
    )

    def seconds(self, case: Case, rounds: Sequence[int]) -> float:
        """About how long it will take here."""
        from core.measures.cost.cost_model import passes
        from core.measures.study.workload import fact_count, question_work

        facts = fact_count(case, rounds, self.facts)
        texts = passes(case.lm, facts * self.prompts * self.length)
        return (question_work(case, facts, self.tokens) + texts).seconds(case.lm)

    def run(self, case: Case, rounds: Sequence[int]) -> StudyResult:
        """Tables `generation` (means) and `answers`. `UserError` for a judge that cannot be loaded."""
        from core.measures.outside.free_text import TfIdf
        from core.measures.study.loop import each_round, facts_at

        judge = self._judge(case)
        references = [" ".join(fact.references) for fact in case.facts if fact.references]
        weights = TfIdf.fit(references) if references else None
        table: list[dict[str, Any]] = []
        answers: list[dict[str, Any]] = []
        notes = [] if references else [NO_REFERENCES]
        if not any(fact.generation for fact in case.facts):
            notes.append("these facts have no generation prompts: fluency is measured on continuations of such prompts")
        for at, beat in each_round(case, rounds):
            chosen = facts_at(case, at, self.facts)
            with case.lm.worn(case.weights(at)):
                rows, broken = self._answers(case, chosen, beat)
                free = self._texts(case, chosen, weights, beat)
            notes += [f"round {at}: {broken:,} answers stopped early: their logits were not finite"] if broken else []
            if judge:
                triples = [(row["prompt"], row["target"], row["said"]) for row in rows]
                agreed, remarks = judge.verdicts(triples, beat)
                rows = [row | {"judge": float(verdict)} for row, verdict in zip(rows, agreed, strict=True)]
                notes += [f"round {at}: {remark}" for remark in remarks]
            answers += [{"round": at} | row for row in rows]
            table += [{"round": at} | row for row in self._means(rows, free, case.seed)]
        return StudyResult(
            tables={"generation": table, "answers": answers},
            charts=[
                Chart(
                    table="generation",
                    kind="line",
                    x="round",
                    y="value",
                    by="measure",
                    facet="unit",
                    y_low="low",
                    y_high="high",
                    title="Free generation",
                    x_title="after round",
                    y_title="mean over facts",
                )
            ],
            protocol=self._protocol(len(references)),
            notes=notes,
            empty=dict.fromkeys(("generation", "answers"), "the run has no facts to test"),
        )

    def _judge(self, case: Case) -> Judge | None:
        from core.measures.outside.judge import Judge

        return Judge(self.judge, str(case.lm.device), case.assets or ASSETS) if self.judge else None

    def _answers(self, case: Case, chosen: Sequence[int], beat: Callable[[], None]) -> tuple[list[dict[str, Any]], int]:
        """A row per fact: its greedy answer and whether it is, or contains, an accepted one; how many were cut off."""
        from core.measures.outside.free_text import contains_match, exact_match, first_line
        from core.measures.outside.greedy import answer_lengths, decoded, greedy_ids

        facts = [case.facts[i] for i in chosen]
        lengths = answer_lengths(case.lm, [(fact.text, fact.target) for fact in facts])
        counts = [max(self.tokens, length) for length in lengths]  # what is longer than is asked for could not be said
        ids, broken = greedy_ids(case.lm, [fact.text for fact in facts], counts, beat)
        rows = []
        for index, fact, text in zip(chosen, facts, decoded(case.lm, ids), strict=True):
            accepted = (fact.target, *(() if self.answers == "first" else fact.aliases))
            rows.append(
                {
                    "fact": index,
                    "prompt": fact.text,
                    "target": fact.target,
                    "said": first_line(text),
                    "exact": float(exact_match(text, accepted)),
                    "contains": float(contains_match(text, accepted)),
                }
            )
        return rows, broken

    def _texts(
        self, case: Case, chosen: Sequence[int], weights: TfIdf | None, beat: Callable[[], None]
    ) -> dict[str, list[tuple[int, float]]]:
        """(fact, value) pairs: the fluency of each sampled text, the consistency of each fact that has references."""
        from core.measures.outside.free_text import fluency
        from core.measures.outside.greedy import sampled_texts

        prompts = [(i, prompt) for i in chosen for prompt in self._prompts(case, i)]
        texts = sampled_texts(case.lm, [prompt for _, prompt in prompts], self.length, case.seed, beat)
        by_fact: dict[int, list[str]] = {}
        for (i, _), text in zip(prompts, texts, strict=True):
            by_fact.setdefault(i, []).append(text)
        consistency = []
        if weights is not None:
            having = [i for i in by_fact if case.facts[i].references]
            consistency = [
                (i, weights.cosine(" ".join(by_fact[i]), " ".join(case.facts[i].references))) for i in having
            ]
        return {
            "fluency": [(i, fluency(text)) for i, each in by_fact.items() for text in each],
            "consistency": consistency,
        }

    def _prompts(self, case: Case, index: int) -> list[str]:
        fact = case.facts[index]
        return list(fact.generation[: self.prompts]) or [fact.text] * self.prompts

    def _means(
        self, rows: Sequence[dict[str, Any]], free: dict[str, list[tuple[int, float]]], seed: int
    ) -> list[dict[str, Any]]:
        """A row per measure: its mean over facts with its interval."""
        from core.measures.outside.metrics import averaged

        shares = ("exact", "contains", "judge")
        values = {name: [(row["fact"], row[name]) for row in rows if name in row] for name in shares} | free
        units = dict.fromkeys(shares, "share") | {"fluency": "bits", "consistency": "cosine"}
        return [
            {"measure": name, "unit": units[name]} | average
            for name, pairs in values.items()
            if (average := averaged(pairs, seed))
        ]

    def _protocol(self, references: int) -> str:
        judged = (
            f" Judge: {self.judge} gives yes a higher probability than no, asked if both agree." if self.judge else ""
        )
        about = (
            f" Consistency: cosine of TF-IDF vectors of a fact's sampled texts and its references, fitted on the"
            f" references of {references:,} facts."
            if references
            else ""
        )
        return (
            f"Facts edited so far, after the round. Answers: greedy, up to {self.tokens} tokens, first line;"
            " normalised (case, punctuation, articles); exact: the first sentence is an accepted answer; contains: it"
            f" stands in the line as whole words.{judged} Texts: one top-5 sample per generation prompt, {self.length}"
            " tokens with the prompt, seeded. Fluency: ½(⅔H₂ + ⁴⁄₃H₃), entropies in bits (log base 2) of n-grams of"
            f" words and marks (papers print it times 100).{about} {answers_protocol(self.answers)}"
            " Means over facts, 95 % bootstrap."
        )


STUDY = Generation
