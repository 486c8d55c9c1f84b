"""Values: the target value of each edit, and the model's present value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from core import ceiling
from core.charts.grammar import Chart
from core.editing.settings.parameters import param
from core.errors import UserError
from core.measures.study.result import StudyResult

if TYPE_CHECKING:
    from core.measures.studies.values.aims import Aims
    from core.measures.study.case import Case, Weights

FACETS = 4  # rounds that are drawn
Rows = list[dict[str, Any]]
Cloud = tuple[str, int, Rows, Any]  # state, round, what each point is of, the points [n, d]


@dataclass(frozen=True, kw_only=True)
class Values:
    """The target value of each fact compared with the present state at its subject, and W_t k_j for the keys of its
    edit.

    The first shows whether the model still has the target value; the second whether the weights still give it for the
    same key. If only the second holds, keys have drifted. Keys of task texts are compared too. Maps of all lanes and
    rounds share one embedding.
    """

    title: ClassVar[str] = "Values at edit time and now"
    of: ClassVar[str] = "weights"
    question: ClassVar[str] = (
        "Is the value that an edit wrote still there, for its own key and for the model's current key?"
    )
    source: ClassVar[str] = "MOSE, Figure 22"

    points: int = param(200, ge=3, le=ceiling.SHOWN, help="Maximum number of facts, and of task texts.")

    def seconds(self, case: Case, rounds: Sequence[int]) -> float:
        """About how long it will take here."""
        from core.measures.cost.cost_model import factorisation
        from core.measures.study.workload import question_work

        prompts = sum(min(len(case.edited(t)), self.points) for t in rounds) + self.points * bool(case.tasks)
        placed = factorisation(self.points * (FACETS + 2), case.lm.d_model).times(3)
        return (question_work(case, prompts, 0) + placed).seconds(case.lm)

    def run(self, case: Case, rounds: Sequence[int]) -> StudyResult:
        """`compared` of one lane."""
        return self.compared({case.lane: case}, {case.lane: rounds})[case.lane]

    def compared(self, cases: Mapping[str, Case], rounds: Mapping[str, Sequence[int]]) -> dict[str, StudyResult]:
        """By lane the tables `reached`, `kept` (a row per cohort and round), `drift` (per round, keys of edits and of
        task texts), and `map`, `same_keys_map`, `task_keys_map` of some rounds, each in one embedding of all lanes."""
        from core.measures.study.walk import edited_rounds

        books, lacking = {}, {}
        for lane, case in cases.items():
            books[lane], lacking[lane] = self._gathered(case, edited_rounds(case, rounds[lane]))
        maps = {name: _embedded({lane: of(book) for lane, book in books.items()}) for name, of in CLOUDS.items()}
        return {
            lane: StudyResult(
                tables={"reached": book.reached, "kept": book.moved, "drift": book.drift}
                | {name: rows[lane] for name, rows in maps.items()},
                charts=_charts(bool(book.reached), bool(maps["task_keys_map"][lane])),
                protocol=self._protocol(len(books)) + _layers_apart(books),
                notes=[*book.notes, *([lacking[lane]] if lacking[lane] else [])],
                empty=_reasons(book, lacking[lane]),
            )
            for lane, book in books.items()
        }

    def _gathered(self, case: Case, chosen: Sequence[int]) -> tuple[Aims, str]:
        """(the target and present values of a lane's rounds; the reason if there are no task texts)."""
        from core.measures.inside.maps import spread
        from core.measures.outside.scores import spread_sample
        from core.measures.studies.values.aims import Aims, task_keys
        from core.measures.study.loop import each_state
        from core.measures.study.walk import broken

        last = chosen[-1]
        facts = set(spread_sample(case.edited(last), self.points, case.seed))
        cohorts = {t: [i for i, f in enumerate(case.cohorts[t - 1]) if f in facts] for t in range(1, last + 1)}
        book = Aims(case, cohorts, spread(chosen, FACETS), case.most_edited(last))
        prompts, lacking = self._task_prompts(case)
        if prompts:
            book.tasks = task_keys(case, prompts, book.task_layer)
        before: Weights = {}
        for t, weights in each_state(case, range(1, last + 1)):
            if bad := broken(weights):
                book.notes.append(f"round {t}: layers {bad} hold numbers that are not finite; nothing from here on")
                break
            book.edited(t, before, weights)
            if t in chosen:
                book.measured(t, weights)
            before = weights
        case.report(last, last)
        return book, lacking

    def _task_prompts(self, case: Case) -> tuple[list[str], str]:
        """(the texts before the answers of the tasks that the run measures, or why there are none)."""
        from core.measures.outside.scores import spread_sample
        from core.measures.outside.tasks import Tasks

        if not case.tasks:
            return [], "this run measures no tasks, so there are no keys of task texts: give it some in measure.tasks"
        try:
            prompts = Tasks.build(case.lm, case.tasks, case.task_limit, case.seed).prompts
        except UserError as error:
            return [], f"no keys of task texts: {error}"
        return [prompts[i] for i in spread_sample(range(len(prompts)), self.points, case.seed)], ""

    def _protocol(self, lanes: int) -> str:
        return (
            f"At most {self.points} facts. `missing` = ‖now − target‖ / ‖target − start‖ of the state at the subject's"
            " last token of the bare prompt, at the last layer that the fact's own round edited: 0 where the value is"
            " reached, 1 where nothing is left; the mean over a cohort. `moved` = ‖(W_t − W_e) k‖ / ‖(W_e − W_{e−1}) k‖"
            " at that layer with the key k recorded in round e, bias left out: 0 where the weights give what they gave"
            " after the edit. `away` = ‖W_t k − v‖ / ‖v‖ with v = W_e k for keys of edits, and v = W_0 k for keys of"
            " task texts, read in the unedited model at the last token before the answer, at the layer that most rounds"
            f" edited. Maps: two principal components of all shown states of {lanes} lanes and all shown rounds"
            " together, one embedding for each map: lanes and rounds lie in the same axes."
        )


def _value_clouds(book: Aims) -> list[Cloud]:
    """Start, target and present state of each fact."""
    states = {t: {"before its edit": book.start, "aimed at": book.target, "now": now} for t, now in book.now.items()}
    return _of_facts(book, states)


def _key_clouds(book: Aims) -> list[Cloud]:
    """W_0 k, W_e k and W_t k of each fact."""
    states = {t: {"unedited": book.unedited, "after its edit": book.written, "now": g} for t, g in book.outputs.items()}
    return _of_facts(book, states)


def _of_facts(book: Aims, states: Mapping[int, Mapping[str, Any]]) -> list[Cloud]:
    from core.lazy import torch

    clouds = []
    for t, parts in states.items():
        if cohorts := sorted(parts["now"]):
            facts = [
                {"cohort": c, "fact": fact, "subject": book.case.facts[fact].subject, "layer": book.layer[c]}
                for c, fact in book.facts_of(cohorts)
            ]
            joined = {state: torch.cat([values[c] for c in cohorts], 1).T for state, values in parts.items()}
            clouds += [(state, t, facts, points) for state, points in joined.items()]
    return clouds


def _task_clouds(book: Aims) -> list[Cloud]:
    """W_0 k and W_t k of task texts."""
    clouds = []
    for t, sent in book.task_outputs.items():
        about = [{"text": i, "layer": book.task_layer} for i in range(sent.shape[1])]
        clouds += [("unedited", t, about, book.tasks_unedited().T), ("now", t, about, sent.T)]
    return clouds


CLOUDS = {"map": _value_clouds, "same_keys_map": _key_clouds, "task_keys_map": _task_clouds}


def _embedded(clouds: Mapping[str, list[Cloud]]) -> dict[str, Rows]:
    """The points of all lanes and rounds on the principal components of their union."""
    from core.measures.inside.maps import joint_layout

    flat = [(lane, *cloud) for lane, own in clouds.items() for cloud in own]
    rows: dict[str, Rows] = {lane: [] for lane in clouds}
    if sum(len(points) for *_, points in flat) < 2:
        return rows
    placed, explained = joint_layout([points for *_, points in flat])
    for (lane, state, t, about, _), places in zip(flat, placed, strict=True):
        rows[lane] += [
            {"where": f"round {t}", "round": t, "state": state, **label}
            | {"x": float(place[0]), "y": float(place[1]), "explained": explained}
            for label, place in zip(about, places, strict=True)
        ]
    return rows


def _layers_apart(books: Mapping[str, Aims]) -> str:
    """A warning if an embedding contains values read at several layers."""
    layers = {lane: sorted({*book.layer.values()}) for lane, book in books.items()}
    if len({layer for own in layers.values() for layer in own}) < 2:
        return ""
    where = "; ".join(f"{lane}: {', '.join(map(str, own)) or 'none'}" for lane, own in layers.items())
    return f" Rounds aim at the last layer that they edit, and these differ ({where}): on a map compare like layers."


def _reasons(book: Aims, lacking: str) -> dict[str, str]:
    """Why tables are empty."""
    broke = "no asked round leaves weights and states that are all finite"
    keys = broke if book.keys else "no round recorded a key for each of its facts"
    values = broke if book.target else "its rounds recorded no values to aim at"
    reasons = {"reached": values, "map": values, "kept": keys, "same_keys_map": keys}
    return reasons | {"task_keys_map": lacking or broke, "drift": f"{keys}; {lacking or broke}"}


def _charts(with_values: bool, with_tasks: bool) -> list[Chart]:
    def map_of(table: str, title: str, text: str = "subject") -> Chart:
        return Chart(
            table=table,
            kind="scatter",
            x="x",
            y="y",
            by="state",
            facet="where",
            text=text,
            title=title,
            x_title="first principal component",
            y_title="second principal component",
        )

    def heat(table: str, z: str, title: str) -> Chart:
        return Chart(
            table=table,
            kind="heat",
            x="round",
            y="cohort",
            z=z,
            title=title,
            x_title="measured after round",
            y_title="edited in round",
        )

    values = [
        heat("reached", "missing", "Missing part of each cohort's values (0: reached)"),
        map_of("map", "States at the subject: before, aimed at, now"),
    ]
    drift = Chart(
        table="drift",
        kind="line",
        x="round",
        y="away",
        by="keys",
        title="Change of the weights' outputs for recorded keys",
        x_title="after round",
        y_title="‖W_t k − v‖ / ‖v‖, mean",
    )
    tasks = [map_of("task_keys_map", "W k for the keys of task texts", "text")]
    return values * with_values + [
        heat("kept", "moved", "Change of the weights' outputs for each cohort's own keys"),
        drift,
        map_of("same_keys_map", "W k for the keys of the edits"),
        *tasks * with_tasks,
    ]


STUDY = Values
