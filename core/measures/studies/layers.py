"""A sweep over layers: one round of plain MEMIT on each window of layers, from the unedited weights each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from core import ceiling
from core.charts.grammar import Chart
from core.editing.settings.parameters import param
from core.measures.study.result import StudyResult

if TYPE_CHECKING:
    from core.facts.fact import Fact
    from core.measures.study.case import Case

SCORES = {  # what is drawn
    "efficacy_exact": "efficacy, exact",
    "paraphrase_exact": "paraphrase, exact",
    "neighborhood_exact": "neighborhood, exact",
    "known_facts_kept": "known facts kept",
}
COLUMNS = ("efficacy", "efficacy_exact", "paraphrase", "paraphrase_exact", "neighborhood", "neighborhood_exact")
STEPS = 40  # passes of a prompt that an edit takes, about
Rows = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Layers:
    """Scores of one round, and the change of each layer, by the edited window. The asked rounds are ignored."""

    title: ClassVar[str] = "Which layers to edit"
    question: ClassVar[str] = "On which layers does one round of plain MEMIT succeed, and how much does it change them?"
    source: ClassVar[str] = "MEMIT, Section 4 (the critical layers); ROME, Figure 5"

    width: int = param(5, ge=1, le=ceiling.LAYERS, help="Adjacent layers that are edited together.")
    step: int = param(1, ge=1, le=ceiling.LAYERS, help="Layers from one window to the next.")
    edits: int = param(20, ge=1, le=ceiling.FACTS, help="Facts of the round: the first of the run's.")
    facts: int = param(50, ge=0, le=ceiling.FACTS, help="True facts, at most, of which the known ones are asked again.")
    paraphrases: int = param(2, ge=0, le=ceiling.PER_FACT, help="Paraphrases per fact.")
    neighbors: int = param(2, ge=0, le=ceiling.PER_FACT, help="Neighbors per fact.")

    def seconds(self, case: Case, rounds: Sequence[int]) -> float:
        """About how long it will take here, with the statistics that have yet to be gathered."""
        from core.measures.study.workload import question_work, statistics_work

        edits = min(self.edits, len(case.facts))
        questions = edits * (STEPS + 2 * (1 + self.paraphrases + self.neighbors)) + self.facts
        sets = windows(case.lm.n_layers, self.width, self.step)
        work = statistics_work(case, sorted({layer for window in sets for layer in window}))
        return (work + question_work(case, len(sets) * questions)).seconds(case.lm)

    def run(self, case: Case, rounds: Sequence[int]) -> StudyResult:
        """Tables `windows` (all scores of each window), `scores` (those that are drawn) and `changes` (by layer)."""
        from core.editing.failure import EditFailure
        from core.measures.cost.cost_model import announcement
        from core.measures.study.known import known_facts, true_facts

        notes = announcement(self.seconds(case, rounds))
        facts = case.facts[: self.edits]
        if len(facts) < self.edits:
            notes.append(f"{len(facts)} instead of {self.edits} edits: there are no more facts to edit")
        subjects = {fact.subject for fact in facts}
        known = known_facts(case, true_facts(case, self.facts)) if self.facts else []
        others = [fact for fact in known if fact.subject not in subjects]
        sets = windows(case.lm.n_layers, self.width, self.step)
        case.session.ahead(sorted({layer for window in sets for layer in window}))
        table: Rows = []
        changes: Rows = []
        for done, window in enumerate(sets if facts else []):
            case.report(done, len(sets))
            try:
                row, changed = self._window(case, window, facts, others)
            except EditFailure as error:
                notes.append(f"layers {name_of(window)}: {error}")
                continue
            table.append(row)
            changes += changed
        case.report(len(sets), len(sets))
        drawn = [
            {"last": row["last"], "layers": row["layers"], "score": label, "value": row[column]}
            for row in table
            for column, label in SCORES.items()
            if row[column] is not None
        ]
        return StudyResult(
            tables={"windows": table, "scores": drawn, "changes": changes},
            charts=_charts() if table else [],
            protocol=(
                f"One round of {len(facts)} facts by plain MEMIT with the model's defaults on each window of"
                f" {self.width} layers, from the unedited weights each time. Scores of the edited facts right after it"
                f" ({self.paraphrases} paraphrases and {self.neighbors} neighbors each); known facts are {len(others)}"
                " true ones about other subjects that the unedited model says exactly. Values are sought at the"
                " window's last layer; the model's last layer is left out, since nothing above it reads a subject."
            ),
            notes=notes + _finding(table),
            empty=dict.fromkeys(("windows", "scores", "changes"), "no round could be edited; the notes say why"),
        )

    def _window(
        self, case: Case, window: Sequence[int], facts: Sequence[Fact], others: Sequence[Fact]
    ) -> tuple[dict[str, Any], Rows]:
        """One window: its row, and the changes of its layers. Raises `EditFailure`."""
        from core.editing.lane.session import model_info
        from core.editing.lane.state import LaneState
        from core.editing.recipe import recipe_from_dict
        from core.editing.rounds.edit_round import edit_round
        from core.editing.stopwatch import charged
        from core.measures.outside.scores import Answers, mean, recall, score_facts, summarise

        lm = case.lm
        recipe = recipe_from_dict({"method": "memit", "layers": list(window)}, model_info(lm))
        state = LaneState.base(lm, window)
        update = edit_round(lm, state, facts, recipe, case.session, case.beat)
        state.apply(update)
        with lm.worn(state.weights):
            answers = Answers(lm, case.beat)
            scores = summarise(score_facts(answers, facts, self.paraphrases, self.neighbors))
            kept = mean(recall(answers, others))
        sizes = {n: float((state.weights[n] - lm.original(n)).norm() / lm.original(n).norm()) for n in window}
        seconds = charged(update.seconds | {"total": sum(update.seconds.values())}) / len(facts)
        about = {"layers": name_of(window), "first": window[0], "last": window[-1]}
        row = about | {column: scores[column] for column in COLUMNS} | {"known_facts_kept": kept}
        row |= {"largest_change": max(sizes.values()), "seconds_per_edit": seconds}
        return row, [about | {"layer": layer, "change": size} for layer, size in sizes.items()]


def windows(count: int, width: int, step: int = 1) -> list[tuple[int, ...]]:
    """Windows of `width` adjacent layers among all but the last of `count`, every `step` layers; at least one, which is
    narrower in a model with fewer layers."""
    most = max(1, count - 1)
    width = min(width, most)
    return [tuple(range(first, first + width)) for first in range(0, most - width + 1, step)]


def name_of(window: Sequence[int]) -> str:
    """ "4-8", or "4" for one layer."""
    return str(window[0]) if len(window) == 1 else f"{window[0]}-{window[-1]}"


def _finding(table: Rows) -> list[str]:
    """The window with the most exact edits; of equal ones that which changes its layers least."""
    if not table:
        return []
    best = max(table, key=lambda row: (row["efficacy_exact"], -row["largest_change"]))
    return [
        f"most edits are said after editing layers {best['layers']}: {best['efficacy_exact']:.2f} exactly, with a"
        f" change of up to {best['largest_change']:.2f} of a layer's norm"
    ]


def _charts() -> list[Chart]:
    return [
        Chart(
            table="scores",
            kind="line",
            x="last",
            y="value",
            by="score",
            title="One round on each window of layers",
            x_title="last edited layer",
            y_title="score",
            unit="share",
        ),
        Chart(
            table="windows",
            kind="line",
            x="last",
            y="largest_change",
            title="Largest change of a layer",
            x_title="last edited layer",
            y_title="‖ΔW‖_F / ‖W₀‖_F",
        ),
        Chart(
            table="changes",
            kind="heat",
            x="layer",
            y="layers",
            z="change",
            title="Change of each layer",
            x_title="layer",
            y_title="edited layers",
        ),
    ]


STUDY = Layers
