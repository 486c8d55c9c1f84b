"""Target values and written outputs of a lane's edits, and their later values: gathered round by round for the study of
values.

A method may edit other layers in each round (MOSE chooses them), and its values are at the last of those that the round
edited. So all values of a round's facts are read at that round's own last layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from core.editing.lane.layer_method import LayerMethod
from core.editing.values.keys import prompts, states
from core.measures.study.case import Case, Weights
from core.models.forward import activations

Rows = list[dict[str, Any]]
ByCohort = dict[int, Tensor]
NO_VALUES = "its rounds recorded no values to aim at: only the keys' outputs are compared"
EDITED, TASKS = "of the edits", "of task texts"


@dataclass
class Aims:
    """For the facts in `chosen` (indices in the cohort) of each cohort: start, target and present value, key, and the
    weights' outputs for the key before any edit, after its own, and now. All float64, a column per fact.

    `drawn` are the rounds whose present values and outputs are stored. `tasks` are keys of task texts [d_in, n] at
    `task_layer`, read in the unedited model.
    """

    case: Case
    chosen: dict[int, list[int]]
    drawn: Sequence[int]
    task_layer: int = 0
    tasks: Float[Tensor, "d_in n"] | None = None
    notes: list[str] = field(default_factory=list)
    reached: Rows = field(default_factory=list)
    moved: Rows = field(default_factory=list)
    drift: Rows = field(default_factory=list)
    layer: dict[int, int] = field(default_factory=dict)
    start: ByCohort = field(default_factory=dict)
    target: ByCohort = field(default_factory=dict)
    keys: ByCohort = field(default_factory=dict)
    unedited: ByCohort = field(default_factory=dict)
    written: ByCohort = field(default_factory=dict)
    step: ByCohort = field(default_factory=dict)
    now: dict[int, ByCohort] = field(default_factory=dict)
    outputs: dict[int, ByCohort] = field(default_factory=dict)
    task_outputs: dict[int, Tensor] = field(default_factory=dict)

    def edited(self, t: int, before: Weights, after: Weights) -> None:
        """Store the targets and written outputs of round t."""
        columns, size, update = self.chosen[t], len(self.case.cohorts[t - 1]), self.case.update(t)
        if not columns:
            return
        if not update.updates:
            self.notes.append(f"round {t} edited no layer and was left out")
            return
        layer = self.layer[t] = max(update.updates)
        if update.target is None or update.start is None:
            if NO_VALUES not in self.notes:
                self.notes.append(NO_VALUES)
        elif update.target.shape[1] == size:
            self.start[t], self.target[t] = update.start[:, columns].double(), update.target[:, columns].double()
        keys = update.keys.get(layer)
        if keys is None or keys.shape[1] != size:
            self.notes.append(f"round {t} has no key per fact at layer {layer} and was left out")
            return
        original = self.case.lm.original(layer)
        key = self.keys[t] = keys[:, columns].double()
        self.unedited[t], self.written[t] = original.double() @ key, after[layer].double() @ key
        self.step[t] = self.written[t] - before.get(layer, original).double() @ key

    def measured(self, t: int, weights: Weights) -> None:
        """Compare every cohort so far, and the task texts, with the values after round t."""
        now, outputs = self._states(t, weights), {}
        for cohort, value in now.items():
            distance = (self.target[cohort] - self.start[cohort]).norm(dim=0)
            missing = (value - self.target[cohort]).norm(dim=0) / distance
            self.reached.append(self._of_cohort(t, cohort, "missing", missing))
        for cohort, key in self.keys.items():
            outputs[cohort] = weights[self.layer[cohort]].double() @ key
            moved = (outputs[cohort] - self.written[cohort]).norm(dim=0) / self.step[cohort].norm(dim=0)
            self.moved.append(self._of_cohort(t, cohort, "moved", moved))
        if outputs:
            away = [(outputs[c] - self.written[c]).norm(dim=0) / self.written[c].norm(dim=0) for c in outputs]
            layers = sorted({self.layer[c] for c in outputs})
            self.drift.append(_drift(t, EDITED, layers, torch.cat(away)))
        if self.tasks is not None:
            original, layer = self.tasks_unedited(), self.task_layer
            sent = weights.get(layer, self.case.lm.original(layer)).double() @ self.tasks
            self.drift.append(_drift(t, TASKS, [layer], (sent - original).norm(dim=0) / original.norm(dim=0)))
            if t in self.drawn:
                self.task_outputs[t] = sent
        if t in self.drawn:
            self.now[t], self.outputs[t] = now, outputs

    def tasks_unedited(self) -> Float[Tensor, "d n"]:
        """The outputs of W_0 for the keys of task texts."""
        assert self.tasks is not None
        return self.case.lm.original(self.task_layer).double() @ self.tasks

    def facts_of(self, cohorts: Sequence[int]) -> list[tuple[int, int]]:
        """(cohort, fact) of the columns of these cohorts, one after the other."""
        return [(c, self.case.cohorts[c - 1][i]) for c in cohorts for i in self.chosen[c]]

    def _states(self, t: int, weights: Weights) -> ByCohort:
        """The present state at each fact's subject, at the layer where its value was aimed at; by cohort."""
        case, method = self.case, self.case.recipe.method
        site = method.site if isinstance(method, LayerMethod) else "block"
        by_cohort: ByCohort = {}
        for layer in sorted({self.layer[c] for c in self.target if c <= t}):
            cohorts = [c for c in self.target if c <= t and self.layer[c] == layer]
            facts = [case.facts[fact] for _, fact in self.facts_of(cohorts)]
            with case.lm.worn(weights):
                read = states(case.lm, prompts(case.lm, facts, ()), layer, site, case.beat)
            if not bool(read.isfinite().all()):
                self.notes.append(f"round {t}: the model's states are not finite")
                return {}
            by_cohort |= dict(zip(cohorts, read.split([len(self.chosen[c]) for c in cohorts], 1), strict=True))
        return dict(sorted(by_cohort.items()))

    def _of_cohort(self, t: int, cohort: int, name: str, values: Tensor) -> dict[str, Any]:
        """A cohort's row: mean, least and most over its facts. An edit that wrote nothing has no scale: NaN."""
        row = {"round": t, "cohort": cohort, "layer": self.layer[cohort], "facts": len(values)}
        return row | {name: float(values.mean()), "least": float(values.min()), "most": float(values.max())}


def task_keys(case: Case, prompts_: Sequence[str], layer: int) -> Float[Tensor, "d_in n"]:
    """Keys of the unedited model at a layer, at the last token of each prompt; the end of one that is too long."""
    lm = case.lm
    rows = [lm.encode(lm.asked(prompt))[-lm.max_length :] for prompt in prompts_]
    with lm.worn({}):
        keys = activations(lm, rows, [len(row) - 1 for row in rows], [layer], "key", beat=case.beat)[layer]
    return keys.double().T.contiguous()


def _drift(t: int, keys: str, layers: Sequence[int], away: Tensor) -> dict[str, Any]:
    row = {"round": t, "keys": keys, "layers": ", ".join(map(str, layers)), "count": len(away)}
    return row | {"away": float(away.mean()), "least": float(away.min()), "most": float(away.max())}
