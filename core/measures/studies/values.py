"""Values: what each edit aimed at, and what the model has there now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from core.editing.parameters import param
from core.measures.found import Chart, Found

if TYPE_CHECKING:
    from torch import Tensor

    from core.measures.case import Case, Weights

Rows = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Values:
    """The target value of each fact against the present state at its subject, and W_t k_j for the keys of its edit.

    The first tells whether the model still has what was aimed at; the second whether the weights still give it for the
    very same key. Where the second holds and the first does not, keys have drifted under the edit.
    """

    title: ClassVar[str] = "Values at edit time and now"
    question: ClassVar[str] = (
        "Is what an edit wrote still there, for its own key and for the key that the model now has?"
    )
    source: ClassVar[str] = "MOSE, Figure 22"

    points: int = param(200, ge=3, help="The most facts that are looked at, spread over the rounds.")

    def seconds(self, case: Case, rounds: Sequence[int]) -> float:
        """About how long it will take here."""
        from core.measures.asking import asking

        prompts = sum(min(len(case.edited(t)), self.points) for t in rounds)
        return asking(case, prompts, 0).seconds(case.lm)

    def run(self, case: Case, rounds: Sequence[int]) -> Found:
        """Tables `reached` and `kept` (a row per cohort and round), `map` and `same_keys_map` (of the last round)."""
        from core.measures.loop import each_state
        from core.measures.scores import spread_sample
        from core.measures.walk import broken, edited_rounds

        chosen = edited_rounds(case, rounds)
        last = chosen[-1]
        facts = set(spread_sample(case.edited(last), self.points, case.seed))
        book = _Book(
            case, {t: [i for i, f in enumerate(case.cohorts[t - 1]) if f in facts] for t in range(1, last + 1)}
        )
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
        return Found(
            tables={
                "reached": book.reached,
                "kept": book.kept,
                "map": book.map(),
                "same_keys_map": book.same_keys_map(),
            },
            charts=_charts(bool(book.reached)),
            protocol=(
                f"{len(facts)} facts. `missing` = ‖now − target‖ / ‖target − start‖ of the state at the subject's last"
                " token of the bare prompt, at the last edited layer: 0 where the value is reached, 1 where nothing is"
                " left; the mean over a cohort. `moved` = ‖(W_t − W_e) k‖ / ‖(W_e − W_{e−1}) k‖ at that layer with the"
                " key k recorded in round e, bias left out: 0 where the weights give what they gave after the edit."
                " Maps: two principal components of all shown states together."
            ),
            notes=book.notes,
        )


@dataclass
class _Book:
    """What is gathered on the way: of each cohort the columns in `chosen` of its start, target, keys and outputs."""

    case: Case
    chosen: dict[int, list[int]]
    notes: list[str] = field(default_factory=list)
    reached: Rows = field(default_factory=list)
    kept: Rows = field(default_factory=list)
    start: dict[int, Tensor] = field(default_factory=dict)
    target: dict[int, Tensor] = field(default_factory=dict)
    now: dict[int, Tensor] = field(default_factory=dict)
    keys: dict[int, Tensor] = field(default_factory=dict)
    written: dict[int, Tensor] = field(default_factory=dict)
    step: dict[int, Tensor] = field(default_factory=dict)
    given: dict[int, Tensor] = field(default_factory=dict)

    @property
    def layer(self) -> int:
        return self.case.layers[-1]

    def edited(self, t: int, before: Weights, after: Weights) -> None:
        """Note what round t aimed at and wrote."""
        columns, size, update = self.chosen[t], len(self.case.cohorts[t - 1]), self.case.update(t)
        if not columns:
            return
        if update.target is None or update.start is None:
            if "this method aims at no values: only the keys' outputs are compared" not in self.notes:
                self.notes.append("this method aims at no values: only the keys' outputs are compared")
        elif update.target.shape[1] == size:
            self.start[t], self.target[t] = update.start[:, columns].double(), update.target[:, columns].double()
        keys = update.keys.get(self.layer)
        if keys is None or keys.shape[1] != size:
            self.notes.append(f"round {t} has no key per fact at layer {self.layer} and was left out")
            return
        key = self.keys[t] = keys[:, columns].double()
        self.written[t] = after[self.layer].double() @ key
        self.step[t] = self.written[t] - before.get(self.layer, self.case.lm.original(self.layer)).double() @ key

    def measured(self, t: int, weights: Weights) -> None:
        """Compare every cohort so far with what there is after round t."""
        for cohort, found in self._states(t, weights).items():
            self.now[cohort] = found
            wanted = (self.target[cohort] - self.start[cohort]).norm(dim=0)
            missing = (found - self.target[cohort]).norm(dim=0) / wanted
            self.reached.append(_summary(t, cohort, "missing", missing))
        for cohort, key in self.keys.items():
            self.given[cohort] = weights[self.layer].double() @ key
            moved = (self.given[cohort] - self.written[cohort]).norm(dim=0) / self.step[cohort].norm(dim=0)
            self.kept.append(_summary(t, cohort, "moved", moved))

    def map(self) -> Rows:
        """Start, target and present state of each fact."""
        return self._drawn({"before its edit": self.start, "aimed at": self.target, "now": self.now})

    def same_keys_map(self) -> Rows:
        """W_0 k, W_e k and W_t k of each fact."""
        original = self.case.lm.original(self.layer).double()
        unedited = {t: original @ key for t, key in self.keys.items() if t in self.given}
        return self._drawn({"unedited": unedited, "after its edit": self.written, "now": self.given})

    def _states(self, t: int, weights: Weights) -> dict[int, Tensor]:
        """The present state at each fact's subject, where its value was aimed at; by cohort."""
        from core.editing.keys import prompts, states

        case, cohorts = self.case, [c for c in self.target if c <= t]
        facts = [case.facts[case.cohorts[c - 1][i]] for c in cohorts for i in self.chosen[c]]
        if not facts:
            return {}
        with case.lm.worn(weights):
            found = states(case.lm, prompts(case.lm, facts, ()), self.layer, case.recipe.method.site)
        if not bool(found.isfinite().all()):
            self.notes.append(f"round {t}: the model's states are not finite")
            return {}
        return dict(zip(cohorts, found.split([len(self.chosen[c]) for c in cohorts], 1), strict=True))

    def _drawn(self, states: dict[str, dict[int, Tensor]]) -> Rows:
        """All states on the principal components of their union."""
        from core.lazy import torch
        from core.measures.maps import joint_layout

        cohorts = sorted(set.intersection(*(set(found) for found in states.values())))
        if sum(len(self.chosen[c]) for c in cohorts) < 2:
            return []
        rows = [torch.cat([found[c] for c in cohorts], 1).T for found in states.values()]
        flat, explained = joint_layout(rows)
        facts = [(c, self.case.cohorts[c - 1][i]) for c in cohorts for i in self.chosen[c]]
        return [
            {"cohort": c, "fact": fact, "subject": self.case.facts[fact].subject, "state": name}
            | {"x": float(place[0]), "y": float(place[1]), "explained": explained}
            for name, places in zip(states, flat, strict=True)
            for (c, fact), place in zip(facts, places, strict=True)
        ]


def _summary(t: int, cohort: int, name: str, values: Tensor) -> dict[str, Any]:
    """A cohort's row: mean, least and most over its facts. An edit that wrote nothing has no scale: NaN."""
    return {
        "round": t,
        "cohort": cohort,
        "facts": len(values),
        name: float(values.mean()),
        "least": float(values.min()),
        "most": float(values.max()),
    }


def _charts(with_values: bool) -> list[Chart]:
    def map_of(table: str, title: str) -> Chart:
        return Chart(
            table=table,
            kind="scatter",
            x="x",
            y="y",
            by="state",
            text="subject",
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
        heat("reached", "missing", "What is missing of each cohort's values (0: reached)"),
        map_of("map", "States at the subject: before, aimed at, now"),
    ]
    return values * with_values + [
        heat("kept", "moved", "How far the weights' answers to each cohort's own keys have moved"),
        map_of("same_keys_map", "W k for the keys of the edits"),
    ]


STUDY = Values
