"""Logit lens: at which layer do the old and the new object become the answer, before and after the edits?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from core import ceiling
from core.charts.grammar import Chart
from core.editing.settings.parameters import param
from core.measures.study.result import StudyResult

if TYPE_CHECKING:
    from core.facts.fact import Fact
    from core.measures.inside.logit_lens import Lens as LensOf
    from core.measures.study.case import Case

NEW, OLD = "new object", "old object"
PLACES = 2  # where it is read
Rows = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Lens:
    """The same facts at the asked rounds and before the first: what each layer's residual stream says at two tokens."""

    title: ClassVar[str] = "What each layer would say"
    of: ClassVar[str] = "states"
    question: ClassVar[str] = "At which layer does the old or the new object become the answer, before and after edits?"
    source: ClassVar[str] = "nostalgebraist 2020, the logit lens"

    facts: int = param(50, ge=1, le=ceiling.FACTS, help="Edited facts that are read, at most, evenly spread.")

    def seconds(self, case: Case, rounds: Sequence[int]) -> float:
        """About how long it will take here."""
        from core.measures.cost.cost_model import Work
        from core.measures.study.workload import question_work

        lm, reads = case.lm, min(self.facts, len(case.facts)) * len({0, *rounds})
        heads = Work(passes=2.0 * lm.d_model * lm.config.vocab_size * PLACES * lm.n_layers * reads)
        return (question_work(case, reads, 0) + heads).seconds(lm)

    def run(self, case: Case, rounds: Sequence[int]) -> StudyResult:
        """The table `lens`: a row per round, place, layer and answer."""
        import torch

        from core.measures.cost.cost_model import announcement
        from core.measures.inside.fact_lens import read_of
        from core.measures.inside.logit_lens import logit_lens
        from core.measures.study.loop import each_round, facts_at
        from core.measures.study.walk import broken

        facts = [case.facts[i] for i in facts_at(case, max(rounds, default=0), self.facts)]
        read = [read_of(case.lm, fact) for fact in facts]
        rows = [ids for ids, *_ in read]
        notes = announcement(self.seconds(case, rounds)) + _notes(facts, read)
        places = torch.tensor([places for _, places, _ in read])
        tokens = torch.tensor([[max(token, 0) for token in pair] for *_, pair in read])
        table: Rows = []
        for t, beat in each_round(case, sorted({0, *rounds})):
            weights = case.weights(t)
            if layers := broken(weights):
                notes.append(f"round {t}: the weights of layers {layers} are not all finite, so it is left out")
                continue
            with case.lm.worn(weights):
                table += _rows(t, facts, logit_lens(case.lm, rows, places, tokens, beat=beat), case.seed)
        return StudyResult(
            tables={"lens": table},
            charts=[
                Chart(
                    table="lens",
                    kind="line",
                    x="layer",
                    y=column,
                    by="answer",
                    facet="where",
                    y_low=low,
                    y_high=high,
                    title=title,
                    x_title="after layer",
                    y_title=label,
                    unit="share",
                )
                for column, low, high, title, label in (
                    ("probability", "low", "high", "Probability by layer", "probability of the first token"),
                    ("likeliest", None, None, "The likeliest token by layer", "share of facts"),
                )
            ],
            protocol=(
                f"{len(facts)} facts to edit or edited, the same at each round; round 0 is the unedited model. The"
                " residual stream after each layer goes through the model's last norm and head, at the subject's last"
                " token and at the prompt's last token. Probabilities of the first token of the new and of the old"
                " object: means over facts with 95 % bootstrap intervals; `likeliest` is the share of facts of which it"
                " is the likeliest token, `rank` the median of its rank. After the last layer, at the last token, it is"
                " what the model says."
            ),
            notes=notes,
            empty={"lens": "the asked rounds left no weights that are all finite"},
        )


def _notes(facts: Sequence[Fact], read: Sequence[Any]) -> list[str]:
    """What the averages leave out or cannot tell apart."""
    notes = []
    if unknown := sum(old < 0 for *_, (_, old) in read):
        notes.append(f"{unknown} of {len(facts)} facts have no other old object: they count for the new one only")
    if same := sum(new == old for *_, (new, old) in read):
        notes.append(f"of {same} of {len(facts)} facts both objects begin with the same token")
    if ends := sum(place == last for _, (place, last), _ in read):
        notes.append(f"{ends} of {len(facts)} prompts end with their subject: both places are the same token there")
    return notes


def _rows(t: int, facts: Sequence[Fact], lens: LensOf, seed: int) -> Rows:
    """A row per place, layer and answer, over the facts that have this answer."""
    from core.measures.inside.fact_lens import LAST, SUBJECT
    from core.measures.outside.scores import bootstrap

    rows: Rows = []
    known = [number for number, fact in enumerate(facts) if fact.truth and fact.truth != fact.target]
    for p, place in enumerate((SUBJECT, LAST)):
        for a, (answer, own) in enumerate(((NEW, list(range(len(facts)))), (OLD, known))):
            for layer in range(len(lens.logprob) if own else 0):
                values = [math.exp(value) for value in lens.logprob[layer, own, p, a].tolist()]
                ranks = sorted(lens.rank[layer, own, p, a].tolist())
                low, high = bootstrap(values, seed)
                rows.append(
                    {"where": f"{place}, round {t}", "round": t, "place": place, "layer": layer, "answer": answer}
                    | {"probability": sum(values) / len(values), "low": low, "high": high}
                    | {"likeliest": ranks.count(1) / len(ranks), "rank": ranks[(len(ranks) - 1) // 2]}
                    | {"facts": len(own)}
                )
    return rows


STUDY = Lens
