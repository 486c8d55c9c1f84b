"""Causal tracing: at which tokens and layers does the model look up a fact?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from core import ceiling
from core.charts.grammar import Chart
from core.editing.settings.parameters import param
from core.errors import UserError
from core.measures.study.result import StudyResult

if TYPE_CHECKING:
    from core.facts.fact import Fact
    from core.measures.studies.trace.causal import Prompt, Traced
    from core.measures.study.case import Case

Rows = list[dict[str, Any]]
EVERY = "all"


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Restored states of the unedited model at token and layer, averaged over known facts by the token's role.

    The asked rounds are ignored.
    """

    title: ClassVar[str] = "Where facts are looked up"
    question: ClassVar[str] = "At which tokens and layers does the model look up what it knows?"
    source: ClassVar[str] = "ROME, Section 2 and Figures 1-2 (causal tracing)"

    restore: str = param(
        "states",
        choices=("states", "ffn", "attention", EVERY),
        help="What is restored: the state after a layer, or outputs of the FFN or of attention in a window of layers.",
    )
    window: int = param(5, ge=1, le=ceiling.LAYERS, help="Layers of a window, around each layer in turn.")
    facts: int = param(20, ge=1, le=ceiling.FACTS, help="Known facts that are traced, at most.")
    samples: int = param(5, ge=1, le=ceiling.SEEDS, help="Samples of the noise for each fact.")
    noise: float = param(
        3.0, symbol="ν", gt=0, le=ceiling.RATIO, help="Noise in standard deviations of the subjects' embeddings."
    )

    def seconds(self, case: Case, rounds: Sequence[int]) -> float:
        """About how long it will take here."""
        from core.measures.study.workload import question_work

        rows = case.lm.n_layers * TOKENS * self.samples * len(self._parts())
        return question_work(case, self.facts * (rows / 2 + 1 + self.samples), 0).seconds(case.lm)

    def run(self, case: Case, rounds: Sequence[int]) -> StudyResult:
        """Tables `trace` (by what is restored, role and layer) and `facts` (each fact's probabilities)."""
        from core.measures.cost.cost_model import announcement
        from core.measures.studies.trace.causal import STATES, embedding_std, noise, traced
        from core.measures.study.known import known_facts, true_facts

        notes = announcement(self.seconds(case, rounds))
        known = known_facts(case, true_facts(case, MOST_ASKED))
        facts = known[: self.facts]
        if not facts:
            raise UserError("The model says none of the true facts that were asked: there is nothing to trace.")
        prompts = [prompt_of(case, fact) for fact in facts]
        size = self.noise * embedding_std(case.lm, prompts)
        table: Rows = []
        of_facts: Rows = []
        parts = self._parts()
        total = len(facts) * len(parts)
        for number, part in enumerate(parts):
            found: list[Traced] = []
            for place, prompt in enumerate(prompts):
                case.report(number * len(facts) + place, total)
                added = noise(case.lm, prompt, self.samples, size, case.seed * SEEDS + place)
                window = 1 if part == STATES else self.window
                found.append(traced(case.lm, prompt, added, part, window, case.beat))
            table += _rows(part, prompts, found, case.seed)
            of_facts = of_facts or _fact_rows(facts, prompts, found)
        case.report(total, total)
        notes += _notes(facts, prompts, of_facts) + [_finding(table, part) for part in parts]
        return StudyResult(
            tables={"trace": table, "facts": of_facts},
            charts=[chart for part in parts for chart in _charts(part)],
            protocol=(
                f"The unedited model on {len(facts)} facts that it says exactly; probabilities are those of the"
                f" answer's first token. Corrupted: noise of {self.noise:g} standard deviations of the subjects'"
                f" embeddings on the subject's tokens, {self.samples} samples a fact, the same for a seed. Restored:"
                f" one token's state after a layer, or its outputs in {self.window} layers around it. Effect: the"
                " probability with it restored, less that of the corrupted run; mean over the tokens of a role, then"
                " over facts, with a 95 % bootstrap interval. A prompt's last token has no other role."
            ),
            notes=[note for note in notes if note],
            empty={},
        )

    def _parts(self) -> list[str]:
        from core.measures.studies.trace.causal import ATTENTION, MLP, STATES

        kinds = {"states": STATES, "ffn": MLP, "attention": ATTENTION}
        return list(kinds.values()) if self.restore == EVERY else [kinds[self.restore]]


TOKENS = 6  # of a prompt from its subject on, about
MOST_ASKED = 500  # true facts that are asked to find known ones
SEEDS = 10_000  # more than facts are traced: each has noise of its own
LOST = 0.5  # of the clean probability


def prompt_of(case: Case, fact: Fact) -> Prompt:
    """A fact's prompt as the model is asked it, and the first token of its answer."""
    from core.measures.studies.trace.causal import Prompt
    from core.models.tokens import answer_ids

    text, (first, last) = case.lm.slot_span(fact.prompt, fact.subject)
    answer = answer_ids(case.lm.tokenizer, text, fact.target)[0]
    return Prompt(tuple(case.lm.encode(text)), first, last, answer)


def _rows(part: str, prompts: Sequence[Prompt], found: Sequence[Traced], seed: int) -> Rows:
    """A row per role and layer: the mean effect over facts that have such a token, and its interval."""
    from core.measures.outside.scores import bootstrap
    from core.measures.studies.trace.causal import ROLES

    rows: Rows = []
    for role in ROLES:
        of_role = []
        for prompt, one in zip(prompts, found, strict=True):
            columns = [place for place, own in enumerate(prompt.roles) if own == role]
            if columns:
                of_role.append(one.effect[:, columns].mean(1).tolist())
        for layer in range(len(of_role[0]) if of_role else 0):
            effects = [effect[layer] for effect in of_role]
            low, high = bootstrap(effects, seed)
            rows.append(
                {"restored": part, "role": role, "layer": layer, "effect": sum(effects) / len(effects)}
                | {"low": low, "high": high, "facts": len(effects)}
            )
    return rows


def _fact_rows(facts: Sequence[Fact], prompts: Sequence[Prompt], found: Sequence[Traced]) -> Rows:
    return [
        {"subject": fact.subject, "prompt": fact.text, "answer": fact.target, "clean": one.clean}
        | {"corrupted": one.corrupted, "tokens": len(prompt.ids), "subject_tokens": prompt.last + 1 - prompt.first}
        for fact, prompt, one in zip(facts, prompts, found, strict=True)
    ]


def _notes(facts: Sequence[Fact], prompts: Sequence[Prompt], rows: Rows) -> list[str]:
    """What makes the averages say less than they seem to."""
    ends = sum(prompt.last == len(prompt.ids) - 1 for prompt in prompts)
    clean, corrupted = (sum(row[name] for row in rows) / len(rows) for name in ("clean", "corrupted"))
    notes = []
    if ends:
        notes.append(f"{ends} of {len(facts)} prompts end with their subject: that token counts as the last one only")
    if corrupted > LOST * clean:
        notes.append(
            f"the noise takes little: the answer's probability is {clean:.2f} without and {corrupted:.2f} with it;"
            " raise `noise`"
        )
    return notes


def _finding(table: Rows, part: str) -> str:
    """The layer at which restoring the subject's last token gives most back."""
    from core.measures.studies.trace.causal import ROLES

    own = [row for row in table if row["restored"] == part and row["role"] == ROLES[2]]
    if not own:
        return ""
    best = max(own, key=lambda row: row["effect"])
    return (
        f"restoring {part} at the subject's last token gives most back at layer {best['layer']}: {best['effect']:.2f}"
        f" ({best['low']:.2f} to {best['high']:.2f})"
    )


def _charts(part: str) -> list[Chart]:
    where = {"restored": part}
    return [
        Chart(
            table="trace",
            kind="heat",
            x="layer",
            y="role",
            z="effect",
            where=where,
            title=f"Average indirect effect of {part}",
            x_title="layer",
            y_title="restored token",
        ),
        Chart(
            table="trace",
            kind="line",
            x="layer",
            y="effect",
            by="role",
            y_low="low",
            y_high="high",
            where=where,
            line=0.0,
            line_label="corrupted",
            title=f"Restored {part}",
            x_title="layer",
            y_title="average indirect effect",
        ),
    ]


STUDY = Trace
