"""Maps of representations: before and after, and each round's own update against all of them together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from core import ceiling
from core.charts.grammar import Chart
from core.editing.settings.parameters import param
from core.errors import UserError
from core.measures.study.result import StudyResult

if TYPE_CHECKING:
    from torch import Tensor

    from core.measures.study.case import Case, Weights

GRID = 64  # points of a density curve
FACETS = 6  # rounds that are drawn side by side
BEFORE, SINGLE, ALL = "before", "its own round's update", "all updates"
NOT_FINITE = "the states are not finite at any of these rounds"
FEW_ALONE = "too few facts to compare each round's own update with all of them"
Rows = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Maps:
    """The same prompts before and after the edits in one joint layout, with the distance of the two clouds.

    A layout shows two dimensions, and the neighbor methods show neighborhoods only; MMD is of all dimensions.
    """

    title: ClassVar[str] = "Maps of representations"
    of: ClassVar[str] = "states"
    question: ClassVar[str] = (
        "Do the edits move representations, and do rounds together move them more than each alone?"
    )
    source: ClassVar[str] = "MOSE, Figure 5; REVIVE, Figure 10"

    method: str = param("pca", choices=("pca", "tsne", "umap"), help="How states are projected to two dimensions.")
    points: int = param(
        200, ge=8, le=ceiling.POINTS, help="Prompts on the map, half about edited facts, half about others."
    )
    site: str = param(
        "edited",
        choices=("edited", "final"),
        help="The residual stream after the last layer that any round edited, or after the model's last.",
    )
    at: str = param("subject", choices=("subject", "end"), help="The subject's last token, or the prompt's.")
    single: str = param(
        "added",
        choices=("added", "turned"),
        help="One round alone: W_0 + (W_t − W_{t−1}), or R_t W_0 with the rotation R_t of W_{t−1} (MOSE).",
    )

    def seconds(self, case: Case, rounds: Sequence[int]) -> float:
        """About how long it will take here."""
        from core.measures.study.workload import question_work

        states = self.points * (len(rounds) + 2)  # also of the unedited model, and under each fact's own round
        return question_work(case, states, 0).seconds(case.lm)

    def run(self, case: Case, rounds: Sequence[int]) -> StudyResult:
        """Tables `map` (per round), `single` (the last round), `density` and `distance`."""
        from core.measures.inside.maps import spread
        from core.measures.study.walk import edited_rounds

        chosen = edited_rounds(case, rounds)
        last, notes = chosen[-1], []
        panel = _Panel.of(case, self, last)
        book = _Book(panel, panel.states({}), self.method, set(spread(chosen, FACETS)))
        after: Tensor | None = None
        for t, weights, own in _states(case, last, self.single):
            book.alone(t, own)
            if t not in chosen:
                continue
            after = panel.states(weights)
            if bool(after.isfinite().all()):
                book.compared(t, after)
            else:
                notes.append(f"round {t}: states are not finite, so there is no map of them")
                after = None
        if after is not None:
            notes += book.joined(after)
        case.report(last, last)
        if len(chosen) > FACETS:
            notes.append(f"{FACETS} of the {len(chosen)} rounds are drawn; distances cover all of them")
        about, of = len(panel.facts), len(panel.texts)
        return StudyResult(
            tables={"map": book.map, "single": book.single, "density": book.density, "distance": book.distance},
            charts=_charts(self.method, bool(book.single)),
            protocol=(
                f"{of} prompts ({about} about facts edited by round {last}, {of - about} about unedited ones), each a"
                f" point before and after: the residual stream after layer {panel.layer} at the"
                f" {'subject’s' if self.at == 'subject' else 'prompt’s'} last token. All states of a map are projected"
                f" together ({self.method}, seed {case.seed}, from principal components), and each map is aligned with"
                " the one before. Distance: MMD² with a Gaussian kernel as wide as the median distance, in all"
                " dimensions; p by 999 random swaps within pairs of the same prompt."
            ),
            notes=notes,
            empty={
                **dict.fromkeys(("map", "density", "distance"), NOT_FINITE),
                "single": FEW_ALONE if after is not None else "the states after the last chosen round are not finite",
            },
        )


@dataclass(frozen=True)
class _Panel:
    """The prompts: those about edited facts first. `round_of` says in which round a fact was edited."""

    case: Case
    layer: int
    texts: list[str]
    positions: list[int]
    subjects: list[str]
    facts: list[int]
    round_of: dict[int, int]

    @classmethod
    def of(cls, case: Case, study: Maps, last: int) -> _Panel:
        from core.measures.outside.scores import spread_sample

        aside = min(study.points // 2, len(case.unedited))
        facts = spread_sample(case.edited(last), study.points - aside, case.seed)
        others = spread_sample(range(len(case.unedited)), aside, case.seed)
        members = [case.facts[f] for f in facts] + [case.unedited[f] for f in others]
        if len(members) < 4:
            raise UserError(f'Lane "{case.lane}": a map needs four prompts or more, not {len(members)}.')
        if study.at == "subject":
            placed = [case.lm.slot_last(fact.prompt, fact.subject) for fact in members]
        else:
            texts = [case.lm.asked(fact.text) for fact in members]
            placed = [(text, len(case.lm.encode(text)) - 1) for text in texts]
        return cls(
            case,
            case.edited_layers(last)[-1] if study.site == "edited" else case.lm.n_layers - 1,
            [text for text, _ in placed],
            [position for _, position in placed],
            [fact.subject for fact in members],
            facts,
            {f: t for t, cohort in enumerate(case.cohorts[:last], 1) for f in cohort},
        )

    def states(self, weights: Weights, rows: Sequence[int] | None = None) -> Tensor:
        """States of all prompts, or of some, of the model with these `weights`."""
        from core.measures.outside.scores import pass_size
        from core.models.forward import activations

        lm, chosen = self.case.lm, list(range(len(self.texts)) if rows is None else rows)
        texts, positions = [self.texts[i] for i in chosen], [self.positions[i] for i in chosen]
        with lm.worn(weights):
            states = activations(lm, texts, positions, [self.layer], "block", pass_size(lm), self.case.beat)
        return states[self.layer]

    def edited_in(self, t: int) -> list[int]:
        """The rows about facts that round t edited."""
        return [i for i, fact in enumerate(self.facts) if self.round_of[fact] == t]

    def group(self, row: int, t: int) -> str:
        """The group of a row, after round t."""
        if row >= len(self.facts):
            return "unedited"
        return "edited" if self.round_of[self.facts[row]] <= t else "to be edited"


@dataclass
class _Book:
    """The tables of the study while it runs. `own[i]` is the state of row i with only its own round's update."""

    panel: _Panel
    base: Tensor
    method: str
    drawn: set[int]
    anchor: Tensor | None = None
    own: dict[int, Tensor] = field(default_factory=dict)
    map: Rows = field(default_factory=list)
    single: Rows = field(default_factory=list)
    density: Rows = field(default_factory=list)
    distance: Rows = field(default_factory=list)

    def alone(self, t: int, weights: Weights) -> None:
        """Store the states of the facts of round t under its own update."""
        if rows := self.panel.edited_in(t):
            self.own |= dict(zip(rows, self.panel.states(weights, rows), strict=True))

    def compared(self, t: int, after: Tensor) -> None:
        """The map of round t, and the distance between its clouds."""
        from core.measures.inside.maps import joint_layout

        groups = [self.panel.group(i, t) for i in range(len(self.base))]
        for name in dict.fromkeys(groups):
            rows = [i for i, group in enumerate(groups) if group == name]
            self._distance(f"{BEFORE} – after round {t}", t, name, self.base[rows], after[rows])
        if t not in self.drawn:
            return
        (old, new), explained = joint_layout([self.base, after], self.method, self.panel.case.seed, self.anchor)
        self.anchor = old
        where = f"round {t}"
        for state, places in ((BEFORE, old), ("after", new)):
            labels = [BEFORE if state == BEFORE else f"after: {group}" for group in groups]
            self.map += self._rows(where, t, labels, places, explained, list(range(len(places))))
        self._densities(where, {BEFORE: old, "after": new})

    def joined(self, after: Tensor) -> list[str]:
        """Base, single and cumulative states of the edited facts in one layout; returns notes on what was left out."""
        from core.lazy import torch
        from core.measures.inside.maps import joint_layout

        rows = [i for i in range(len(self.panel.facts)) if bool(self.own[i].isfinite().all())]
        if len(rows) < 4:
            return [FEW_ALONE]
        clouds = {BEFORE: self.base[rows], SINGLE: torch.stack([self.own[i] for i in rows]), ALL: after[rows]}
        t = max(self.panel.round_of[self.panel.facts[i]] for i in rows)
        for first, second in ((BEFORE, SINGLE), (BEFORE, ALL), (SINGLE, ALL)):
            self._distance(f"{first} – {second}", t, "edited", clouds[first], clouds[second])
        anchor = self.anchor[rows] if self.anchor is not None else None
        flat, explained = joint_layout(list(clouds.values()), self.method, self.panel.case.seed, anchor)
        for name, places in zip(clouds, flat, strict=True):
            self.single += self._rows("one and all", t, [name] * len(rows), places, explained, rows)
        self._densities("one and all", dict(zip(clouds, flat, strict=True)))
        return []

    def _rows(
        self,
        where: str,
        t: int,
        labels: Sequence[str],
        places: Tensor,
        explained: float | None,
        rows: Sequence[int],
    ) -> Rows:
        facts = [*self.panel.facts, *[-1] * (len(self.panel.texts) - len(self.panel.facts))]
        return [
            {"where": where, "round": t, "state": label, "fact": facts[i], "subject": self.panel.subjects[i]}
            | {"x": float(place[0]), "y": float(place[1]), "explained": explained}
            for i, label, place in zip(rows, labels, places, strict=True)
        ]

    def _densities(self, where: str, clouds: dict[str, Tensor]) -> None:
        """Marginal densities of a map on both of its axes."""
        from core.lazy import torch
        from core.measures.studies.maps.mmd import density

        for axis, name in ((0, "first axis"), (1, "second axis")):
            every = torch.cat([places[:, axis] for places in clouds.values()])
            margin = 0.15 * float(every.max() - every.min()) or 1.0
            grid = torch.linspace(float(every.min()) - margin, float(every.max()) + margin, GRID)
            for state, places in clouds.items():
                self.density += [
                    {"where": f"{where}, {name}", "state": state, "at": float(x), "density": float(d)}
                    for x, d in zip(grid, density(places[:, axis], grid), strict=True)
                ]

    def _distance(self, pair: str, t: int, group: str, first: Tensor, second: Tensor) -> None:
        from core.measures.studies.maps.mmd import mmd_test

        mmd = mmd_test(first, second, paired=True, seed=self.panel.case.seed)
        moved = (second.double() - first.double()).norm(dim=1)
        self.distance.append(
            {"round": t, "pair": pair, "group": group, "prompts": len(first), "mmd2": mmd.mmd2, "p": mmd.p}
            | {"bandwidth": mmd.bandwidth, "moved": float(moved.mean())}
        )


def _states(case: Case, last: int, single: str) -> Iterator[tuple[int, Weights, Weights]]:
    """(t, W_t, W_0 with only the update of round t) for every round up to the last."""
    from core.editing.linalg.orthogonal import accumulated
    from core.measures.study.loop import each_state

    before: Weights = {}
    for t, weights in each_state(case, range(1, last + 1)):
        own = {}
        for layer, weight in weights.items():
            original = case.lm.original(layer)
            previous = before.get(layer, original)
            if single == "added":
                own[layer] = original + (weight - previous)
            elif bool(weight.isfinite().all()):
                turn = accumulated(weight.double(), previous.double())
                own[layer] = (turn @ original.double()).to(original.dtype)
        yield t, weights, own
        before = weights


def _charts(method: str, with_single: bool) -> list[Chart]:
    names = {"pca": "principal component", "tsne": "t-SNE axis", "umap": "UMAP axis"}
    scatter = partial(
        Chart,
        kind="scatter",
        x="x",
        y="y",
        by="state",
        text="subject",
        x_title=f"first {names[method]}",
        y_title=f"second {names[method]}",
    )
    single = scatter(table="single", title="Each fact under its own round's update, and under all")
    return [
        scatter(table="map", facet="where", title="States before and after"),
        *[single] * with_single,
        Chart(
            table="density",
            kind="line",
            x="at",
            y="density",
            by="state",
            facet="where",
            title="Marginal densities of the maps",
            x_title="position on the axis",
            y_title="density",
        ),
        Chart(
            table="distance",
            kind="bar",
            x="pair",
            y="mmd2",
            by="group",
            text="p",
            title="Distance of the distributions, in all dimensions",
            x_title="",
            y_title="MMD²",
        ),
    ]


STUDY = Maps
