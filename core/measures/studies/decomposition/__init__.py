"""Decomposition, without editing: task scores when weights are truncated to their strongest directions, or
disturbed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from core import ceiling
from core.charts.grammar import Chart
from core.editing.settings.parameters import param
from core.measures.study.result import StudyResult
from core.names import Names
from core.paths import ASSETS

if TYPE_CHECKING:
    from core.measures.inside.energy import Directions
    from core.measures.inside.spectrum import Reference
    from core.measures.outside.tasks import Tasks
    from core.measures.study.case import Case, Weights

EQUAL, PER_DIRECTION = "equal norm", "equal per direction"
MEAN, FACTS = "mean", "true facts"  # the mean over tasks; the mean probability of true facts
UNHURT = 0.95  # of the intact model's score
NOT_HURT = "nothing here hurt the model, not even zeros in place of these matrices"
Rows = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Decomposition:
    """Tasks on W_0 rebuilt from its top n % of singular energy, and with one tenth of the energy disturbed.

    The requested rounds are ignored: nothing is edited.
    """

    title: ClassVar[str] = "Which directions carry the tasks"
    of: ClassVar[str] = "weights"
    question: ClassVar[str] = "How much of a weight's singular energy do tasks need, and which part of it is sensitive?"
    source: ClassVar[str] = "REVIVE, Figures 2a, 2b and 11"

    points: int = param(10, ge=1, le=100, help="Number of energy shares besides 0 %, evenly up to 100 %.")
    groups: int = param(5, ge=2, le=50, help="Groups of equal energy, perturbed one at a time.")
    smallest: float = param(1.0, symbol="ε", gt=0, le=ceiling.RATIO, help="Smallest perturbation, as a share of ‖W‖_F.")
    largest: float = param(3.0, gt=0, le=ceiling.RATIO, help="Largest perturbation.")
    sizes: int = param(2, ge=1, le=10, help="Number of sizes, from the smallest to the largest, evenly on a log scale.")
    seeds: int = param(2, ge=1, le=ceiling.SEEDS, help="Random perturbations of each group.")
    sides: str = param("both", choices=("input", "output", "both"), help="The side whose directions are grouped.")
    matrices: str = param(
        "edited",
        choices=("edited", "all"),
        help="Layers whose down-projections are replaced together: the lane's edited ones, or all.",
    )
    tasks: str = param(
        "",
        names=Names.TASKS,
        help="Tasks, separated by commas (a folder, or names of the harness); empty: the lane's own.",
    )
    items: int | None = param(10, ge=1, le=ceiling.ITEMS, help="Items per task; none: all.")
    facts: int = param(
        25,
        ge=0,
        le=ceiling.FACTS,
        help="True facts whose probability is measured besides the tasks: finer than multiple choice.",
    )

    def seconds(self, case: Case, rounds: Sequence[int]) -> float:
        """About how long it will take here."""
        from core.measures.cost.cost_model import decomposition, product
        from core.measures.study.workload import question_work, task_work

        lm, layers, count = case.lm, len(self._layers(case)), self._evaluations()
        rebuilt = product(lm.d_model, lm.d_model, lm.d_ffn).times(count * layers)
        work = decomposition(lm.d_model, lm.d_ffn).times(layers) + rebuilt
        work += task_work(case, self._names(case), self.items).times(count)
        return (work + question_work(case, count * min(self.facts, len(case.unedited)))).seconds(lm)

    def run(self, case: Case, rounds: Sequence[int]) -> StudyResult:
        """Tables `reconstruction`, `perturbation` (the mean task, facts), `perturbation_tasks`, `tasks` (intact)."""
        from core.measures.cost.cost_model import announcement
        from core.measures.inside.spectrum import Reference
        from core.measures.outside.tasks import Tasks

        layers, total = self._layers(case), self._evaluations()
        notes = announcement(self.seconds(case, rounds))
        tasks = Tasks.build(case.lm, self._names(case), self.items, case.seed, case.beat)
        score = _Scorer(case, tasks, self.facts, total)
        intact = score({})
        references = {}
        for layer in layers:
            case.beat()
            references[layer] = Reference.of(layer, case.lm.original(layer))
        rebuilt = [row for part in range(self.points + 1) for row in self._rebuilt(references, part, score, intact)]
        disturbed = self._disturbed(case, references, score, intact, notes)
        case.report(total, total)
        if all(row["relative"] is None or row["relative"] > UNHURT for row in [*rebuilt, *disturbed]):
            notes.append(NOT_HURT + ("; replace those of all layers" if self.matrices == "edited" else ""))
        chances = [info["chance"] for info in tasks.info.values() if info.get("chance") is not None]
        chance = sum(chances) / len(chances) if len(chances) == len(tasks.info) else None
        level = chance / intact[MEAN] if chance is not None and intact.get(MEAN) else None
        return StudyResult(
            tables={
                "reconstruction": rebuilt,
                "perturbation": [
                    row | {"how": f"{row['task']}: {row['how']}"} for row in disturbed if row["task"] in (MEAN, FACTS)
                ],
                "perturbation_tasks": disturbed,
                "tasks": [
                    {"task": name, "score": value} | _about(tasks, name, chance, len(score.facts))
                    for name, value in intact.items()
                ],
            },
            charts=_charts(level),
            protocol=(
                f"No edit. Down-projections of layers {layers} replaced together; {self.items or 'all'} items per task,"
                f" the same each time, and {len(score.facts)} true facts by probability per token; scores as a share"
                " of the intact model's. Reconstruction: the fewest directions that hold n % of Σσ, zeros for 0 %."
                f" Perturbation: {self.groups} groups of equal Σσ, each Δ = Σ α_ij u_i v_jᵀ with Gaussian α over the"
                " group's v_j (input side) or u_i (output side) and all vectors of the other side, scaled to"
                " ‖Δ‖_F = ε ‖W‖_F, or so that every direction of a group gets the same amount; mean, minimum"
                f" and maximum of {self.seeds} seeds."
            ),
            notes=notes,
            empty=dict.fromkeys(
                ("perturbation", "perturbation_tasks"),
                "in some layer one direction holds more energy than a group's share: ask for fewer groups",
            ),
        )

    def _layers(self, case: Case) -> list[int]:
        """Whose down-projections are replaced."""
        return list(case.layers) if self.matrices == "edited" else list(range(case.lm.n_layers))

    def _names(self, case: Case) -> list[str]:
        """The tasks: named ones, those that the run measures, or those that the model brings."""
        from core.measures.outside.tasks import own_tasks

        named = [name.strip() for name in self.tasks.split(",") if name.strip()]
        return named or list(case.tasks) or own_tasks(case.lm, case.assets or ASSETS)

    def _evaluations(self) -> int:
        """The number of evaluations of all tasks and facts."""
        return 2 + self.points + self._disturbances()

    def _disturbances(self) -> int:
        return self.groups * self.seeds * self.sizes * 2 * len(self._sides())

    def _sides(self) -> list[str]:
        return ["input", "output"] if self.sides == "both" else [self.sides]

    def _sizes(self) -> list[float]:
        """ε, from the least to the largest."""
        if self.sizes == 1:
            return [self.smallest]
        ratio = self.largest / self.smallest
        return [self.smallest * ratio ** (i / (self.sizes - 1)) for i in range(self.sizes)]

    def _rebuilt(
        self, references: Mapping[int, Reference], part: int, score: _Scorer, intact: Mapping[str, float]
    ) -> Iterator[dict[str, Any]]:
        """Rows of one share of the energy."""
        from core.measures.inside.energy import kept_rank, strongest

        ranks = {layer: kept_rank(reference, part / self.points) for layer, reference in references.items()}
        scores = score({layer: strongest(reference, ranks[layer]) for layer, reference in references.items()})
        share = sum(ranks.values()) / sum(len(reference.spectrum.sigma) for reference in references.values())
        for name, value in scores.items():
            yield {"percent": 100 * part / self.points, "directions": share, "task": name, "score": value} | {
                "relative": _relative(value, intact[name])
            }

    def _disturbed(
        self,
        case: Case,
        references: Mapping[int, Reference],
        score: _Scorer,
        intact: Mapping[str, float],
        notes: list[str],
    ) -> Rows:
        """Rows of all disturbances, a mean over seeds each."""
        from core.measures.inside.energy import Directions

        rows: Rows = []
        groups = {layer: Directions.of(reference, self.groups) for layer, reference in references.items()}
        for side in self._sides():
            for group in range(self.groups):
                if not all(directions.members[group] for directions in groups.values()):
                    notes.append(f"group {group + 1} is empty in some layer: one direction holds more than its share")
                    score.skip(self._disturbances() // (self.groups * len(self._sides())))
                    continue
                by_size = self._group(case, groups, side, group, score)
                members = sum(len(directions.members[group]) for directions in groups.values())
                for (how, size), per_seed in by_size.items():
                    rows += [
                        {
                            "how": f"{side} side, {how}",
                            "size": f"ε = {size:.3g}",
                            "group": group + 1,
                            "members": members,
                        }
                        | {"task": name}
                        | _over_seeds([scores[name] for scores in per_seed], intact[name])
                        for name in intact
                    ]
        return rows

    def _group(
        self, case: Case, groups: Mapping[int, Directions], side: str, group: int, score: Callable[[Weights], Any]
    ) -> dict[tuple[str, float], list[dict[str, float]]]:
        """Scores per seed by (how the size is meant, ε)."""
        from core.measures.inside.energy import group_size

        scores: dict[tuple[str, float], list[dict[str, float]]] = {}
        for seed in range(self.seeds):
            changes = {layer: parts.disturbance(side, group, case.seed + seed) for layer, parts in groups.items()}
            for size in self._sizes():
                for how in (EQUAL, PER_DIRECTION):
                    worn = {}
                    for layer, parts in groups.items():
                        n = len(parts.members[group])
                        share = size if how == EQUAL else group_size(size, n, parts.rank, self.groups)
                        worn[layer] = parts.weight + share * parts.norm * changes[layer]
                    scores.setdefault((how, size), []).append(score(worn))
        return scores


class _Scorer:
    """Scores of tasks and true facts on given weights, with the number of finished evaluations."""

    def __init__(self, case: Case, tasks: Tasks, facts: int, total: int):
        from core.measures.outside.scores import spread_sample

        self.case, self.tasks, self.total, self.done = case, tasks, total, 0
        chosen = spread_sample(range(len(case.unedited)), facts, case.seed) if facts else []
        self.facts = [case.unedited[i] for i in chosen]

    def __call__(self, weights: Weights) -> dict[str, float]:
        from core.measures.outside.scores import Answers, mean

        def beat() -> None:
            self.case.report(self.done, self.total)

        beat()
        with self.case.lm.worn(weights):
            scores = self.tasks.evaluate(beat)
            rated = Answers(self.case.lm, beat).rate([(fact.text, fact.target) for fact in self.facts])
        self.done += 1
        average = self.tasks.mean(scores)
        return _known({MEAN: average, FACTS: mean([math.exp(answer.logprob) for answer in rated])}) | scores

    def skip(self, count: int) -> None:
        """Count evaluations that are not needed as done."""
        self.done += count


def _known(scores: Mapping[str, float | None]) -> dict[str, float]:
    """The scores that are not None."""
    return {name: value for name, value in scores.items() if value is not None}


def _relative(value: float, intact: float) -> float | None:
    return value / intact if intact else None


def _over_seeds(values: Sequence[float], intact: float) -> dict[str, float | None]:
    """The mean over seeds and, as shares of the intact model's score, mean, minimum and maximum."""
    mean = sum(values) / len(values)
    row = {"score": mean, "relative": _relative(mean, intact)}
    return row | {"low": _relative(min(values), intact), "high": _relative(max(values), intact)}


def _about(tasks: Tasks, name: str, chance: float | None, facts: int) -> dict[str, Any]:
    """Details of a task's number."""
    if name == FACTS:
        return {"chance": None, "items": facts, "version": ""}
    info = tasks.info.get(name, {"chance": chance, "items": sum(i["items"] for i in tasks.info.values())})
    return {"chance": info.get("chance"), "items": info["items"], "version": str(info.get("version", ""))}


def _charts(chance: float | None) -> list[Chart]:
    return [
        Chart(
            table="reconstruction",
            kind="line",
            x="percent",
            y="relative",
            by="task",
            title="Tasks on the top n % of singular energy",
            x_title="n (% of Σσ kept)",
            y_title="score relative to the intact model",
            line=chance,
            line_label="guessing" if chance is not None else "",
        ),
        Chart(
            table="perturbation",
            kind="line",
            x="group",
            y="relative",
            by="size",
            facet="how",
            y_low="low",
            y_high="high",
            line=1.0,
            line_label="intact",
            title="Tasks and true facts with one group of directions perturbed",
            x_title="group (strongest first)",
            y_title="score relative to the intact model",
        ),
    ]


STUDY = Decomposition
