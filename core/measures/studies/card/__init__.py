"""The card of a model: is it a fair bench for claims about the spectrum of W₀ and about abilities?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from core import ceiling
from core.charts.grammar import Chart
from core.editing.settings.parameters import param
from core.measures.studies.card.limits import (
    CHANGE,
    EXACT,
    FACTS_ZEROED,
    LS,
    TASKS_AT_TENTH,
    TASKS_ZEROED,
    claim_rows,
    limit_rows,
)
from core.measures.study.result import StudyResult
from core.names import Names

if TYPE_CHECKING:
    from core.editing.lane.method import Recipe
    from core.facts.fact import Fact
    from core.measures.outside.tasks import Tasks
    from core.measures.studies.card.asked import Asker
    from core.measures.studies.card.one_round import EditedRound
    from core.measures.study.case import Case

Rows = list[dict[str, Any]]
STEPS = 40  # passes of a prompt that an edit takes, about: the value's steps forward and back, keys and states


@dataclass(frozen=True, kw_only=True)
class Card:
    """Known facts and tasks of the unedited model, with the edited layers damaged, and one round of plain MEMIT.

    The asked rounds are ignored: everything begins with the unedited weights.
    """

    title: ClassVar[str] = "Is this model a fair bench"
    question: ClassVar[str] = "Which of the papers' claims about W₀'s spectrum and about abilities can this model test?"
    source: ClassVar[str] = "REVIVE, Figures 2a and 2b; MEMIT, Eq. 14"

    layers: tuple[int, ...] | None = param(
        None, help="The edited layers; none: those that plain MEMIT edits on this model by default."
    )
    edits: int = param(100, ge=1, le=ceiling.FACTS, help="Facts of the round: the first of the run's, or all.")
    facts: int = param(200, ge=1, le=ceiling.FACTS, help="True facts that are asked, at most.")
    tasks: str = param(
        "",
        names=Names.TASKS,
        help="Tasks with commas between (a folder, or names of the harness); empty: the lane's own.",
    )
    items: int | None = param(25, ge=1, le=ceiling.ITEMS, help="Items per task; none: all.")
    size: float = param(1.0, symbol="ε", gt=0, le=ceiling.RATIO, help="A perturbation, as a share of ‖W‖_F.")
    tenths: int = param(4, ge=2, le=10, help="Tenths of the directions that are perturbed: the strongest to the last.")
    seeds: int = param(2, ge=1, le=ceiling.SEEDS, help="Random perturbations of each tenth.")

    def seconds(self, case: Case, rounds: Sequence[int]) -> float:
        """About how long it will take here, with the statistics that have yet to be gathered."""
        from core.measures.cost.cost_model import decomposition
        from core.measures.study.workload import question_work, statistics_work, task_work

        lm, recipe = case.lm, self._recipe(case)
        each = task_work(case, self._names(case), self.items) + question_work(case, self.facts)
        work = each.times(self._evaluations(len(recipe.layers)))
        prompts = self.edits * (1 + sum(count for count, _ in recipe.method.samples()))
        work += question_work(case, prompts * STEPS)
        work += statistics_work(case, recipe.layers)
        work += decomposition(lm.d_model, lm.d_ffn).times(2 * len(recipe.layers))
        return work.seconds(lm)

    def run(self, case: Case, rounds: Sequence[int]) -> StudyResult:
        """Tables `limits`, `claims`, `abilities`, `zeroed`, `kept`, `perturbed`, `edits` and `layers`."""
        from core.measures.cost.cost_model import announcement
        from core.measures.inside.spectrum import Reference
        from core.measures.outside.tasks import Tasks
        from core.measures.studies.card.asked import Asker
        from core.measures.studies.card.damage import kept_rows, perturbed_rows, zeroed_rows
        from core.measures.studies.card.one_round import layer_rows, score_row
        from core.measures.study.known import known_facts, true_facts

        recipe = self._recipe(case)
        total = self._evaluations(len(recipe.layers))
        notes = announcement(self.seconds(case, rounds))
        names = self._names(case)
        tasks = Tasks.build(case.lm, names, self.items, case.seed, case.beat) if names else None
        asked = true_facts(case, self.facts)
        known = known_facts(case, asked)
        case.session.ahead(recipe.layers)
        references = {}
        for layer in recipe.layers:
            case.beat()
            references[layer] = Reference.of(layer, case.lm.original(layer))
        ask = Asker(case, known, tasks, total)
        notes += _cautions(asked, known, tasks, ask)
        zeroed, kept = zeroed_rows(references, ask), kept_rows(references, ask)
        seeds = [case.seed + number for number in range(self.seeds)]
        perturbed = perturbed_rows(references, ask, self.tenths, self.size, seeds)
        after = self._edited(case, recipe, notes)
        edits = [score_row(case, ask, known, after)] if after else []
        layers = layer_rows(case, references, after)
        case.report(total, total)
        values = values_of(ask, zeroed, kept, edits, layers)
        claims = claim_rows(values)
        return StudyResult(
            tables={
                "limits": limit_rows(values),
                "claims": claims,
                "abilities": _abilities(ask, zeroed, asked),
                "zeroed": zeroed,
                "kept": kept,
                "perturbed": perturbed,
                "edits": edits,
                "layers": layers,
            },
            charts=_charts(bool(ask.intact), bool(edits)),
            protocol=self._protocol(recipe, ask, asked, tasks, self.size),
            notes=[*notes, *(row["sentence"] for row in claims)],
            empty=dict.fromkeys(
                ("abilities", "zeroed", "kept", "perturbed"), "no fact is known, and there are no tasks"
            )
            | {"edits": "the round could not be edited; the notes say why"},
        )

    def _recipe(self, case: Case) -> Recipe:
        """Plain MEMIT with the model's defaults."""
        from core.editing.lane.session import model_info
        from core.editing.recipe import recipe_from_dict

        given = {"layers": list(self.layers)} if self.layers else {}
        return recipe_from_dict({"method": "memit", **given}, model_info(case.lm))

    def _names(self, case: Case) -> list[str]:
        """The tasks: named ones, or those that the run measures; none is allowed."""
        return [name.strip() for name in self.tasks.split(",") if name.strip()] or list(case.tasks)

    def _evaluations(self, layers: int) -> int:
        """Evaluations of facts and tasks: intact; each layer zeroed, and all; shares; tenths; after the round."""
        from core.measures.studies.card.damage import SHARES

        return 1 + layers + 1 + len(SHARES) + self.tenths * self.seeds + 1

    def _edited(self, case: Case, recipe: Recipe, notes: list[str]) -> EditedRound | None:
        """The round; None with a note if it cannot be computed."""
        from core.editing.failure import EditFailure
        from core.measures.studies.card.one_round import edited

        facts = case.facts[: self.edits]
        if len(facts) < self.edits:
            notes.append(f"one round of {len(facts)} instead of {self.edits} edits: there are no more facts to edit")
        if not facts:
            return None
        try:
            return edited(case, recipe, facts)
        except EditFailure as error:
            notes.append(f"the round of plain MEMIT edits failed: {error}")
            return None

    def _protocol(self, recipe: Recipe, ask: Asker, asked: Sequence[Fact], tasks: Tasks | None, size: float) -> str:
        count = len(tasks.info) if tasks else 0
        return (
            f"The unedited model; edited layers {list(recipe.layers)}. Known facts: those of {len(asked)} true facts"
            f" whose answer is exact ({len(ask.known)}). {count} tasks, {self.items or 'all'} items each; the mean is"
            f" over the {len(ask.told)} that are more than {TASKS_ZEROED.at:g} above chance. Down-projections of all"
            " edited layers replaced together (of each by itself where it says so): by zeros; by the fewest directions"
            " that hold n % of Σσ; by W + Δ with Gaussian Δ on one tenth of the input directions, by number, strongest"
            f" first, ‖Δ‖_F = {size:g} ‖W‖_F, mean, least and most of {self.seeds} seeds. One round of plain MEMIT with"
            " the model's defaults: scores of the edited facts (two paraphrases, two neighbors each), ‖ΔW‖_F/‖W₀‖_F and"
            " LS at τ = 0.1, the mean cosine between keys of different subjects (as edited: averaged over contexts),"
            " rank and condition of C₀ = E[k kᵀ]. Seconds per edit are without what is computed once per model."
        )


def values_of(ask: Asker, zeroed: Rows, kept: Rows, edits: Rows, layers: Rows) -> dict[str, float | None]:
    """The number that each limit judges, by its key; None where there is none."""
    from core.measures.studies.card.asked import FACTS, MEAN

    together = {row["asked"]: row["score"] for row in zeroed if row["layer"] is None}
    tenth = {row["asked"]: row["relative"] for row in kept if row["percent"] == 10}
    far = [abs(together[name] - (ask.chance(name) or 0.0)) for name in ask.told]
    changes = [row["change"] for row in layers if row["change"] is not None]
    similar = [row["ls"] for row in layers if row["ls"] is not None]
    return {
        TASKS_ZEROED.key: max(far, default=None),
        FACTS_ZEROED.key: together.get(FACTS),
        TASKS_AT_TENTH.key: tenth.get(MEAN),
        EXACT.key: edits[0]["efficacy_exact"] if edits else None,
        CHANGE.key: max(changes, default=None),
        LS.key: min(similar, default=None),
    }


def _cautions(asked: Sequence[Fact], known: Sequence[Fact], tasks: Tasks | None, ask: Asker) -> list[str]:
    """What the card cannot tell, and why."""
    notes = []
    if not known:
        notes.append(f"the model knows none of {len(asked)} true facts: nothing can be said of facts")
    if tasks is None:
        notes.append("no tasks are named, and the model brings none: nothing can be said of abilities")
    elif untold := [name for name in tasks.info if name not in ask.told]:
        notes.append(f"too close to chance before any damage, so left out of limits and mean: {', '.join(untold)}")
    return notes


def _abilities(ask: Asker, zeroed: Rows, asked: Sequence[Fact]) -> Rows:
    """What is asked, in three states: as loaded, with the edited layers zeroed, and guessed. First the share of true
    facts that are known."""
    from core.measures.studies.card.asked import TRUE

    together = {row["asked"]: row["score"] for row in zeroed if row["layer"] is None}
    recall = len(ask.known) / len(asked) if asked else None
    rows: Rows = [{"asked": TRUE, "state": "intact", "score": recall, "items": len(asked)}] if asked else []
    for name, intact in ask.intact.items():
        states = {"intact": intact, "edited layers zeroed": together[name], "chance": ask.chance(name)}
        rows += [
            {"asked": name, "state": state, "score": score, "items": ask.items(name)} for state, score in states.items()
        ]
    return rows


def _charts(anything: bool, edited: bool) -> list[Chart]:
    """The picture: abilities, the zeroed layers, the energy curve, the perturbed tenths; change and LS per layer."""
    summary = {"kind": "summary"}
    of_intact = "share of the intact model’s score"
    asked = [
        Chart(
            table="abilities",
            kind="bar",
            x="asked",
            y="score",
            by="state",
            title="All edited layers zeroed",
            x_title="",
            y_title="score",
            unit="share",
        ),
        Chart(
            table="zeroed",
            kind="bar",
            x="layers",
            y="score",
            by="asked",
            where=summary,
            title="Layers zeroed one by one",
            x_title="",
            y_title="score",
            unit="share",
        ),
        Chart(
            table="kept",
            kind="line",
            x="percent",
            y="relative",
            by="asked",
            where=summary,
            line=TASKS_AT_TENTH.at,
            line_label="limit for tasks at 10 %",
            title="Top n % of singular energy kept",
            x_title="n (% of Σσ kept)",
            y_title=of_intact,
            unit="share",
        ),
        Chart(
            table="perturbed",
            kind="line",
            x="tenth",
            y="relative",
            by="asked",
            y_low="low",
            y_high="high",
            where=summary,
            line=1.0,
            line_label="intact",
            title="One tenth of the directions perturbed",
            x_title="tenth (strongest first)",
            y_title=of_intact,
            unit="share",
        ),
    ]
    layers = [
        Chart(
            table="layers",
            kind="bar",
            x="layer",
            y=column,
            line=limit.at,
            line_label=f"limit ({limit.bound})",
            title=title,
            x_title="layer",
            y_title=label,
        )
        for column, limit, title, label in (
            ("change", CHANGE, "Change of one round", "‖ΔW‖_F / ‖W₀‖_F"),
            ("ls", LS, "Similarity after one round", "LS at τ = 0.1"),
        )
    ]
    return (asked if anything else []) + (layers if edited else [])


STUDY = Card
