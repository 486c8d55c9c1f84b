"""The guard sandbox: a round as it would be under another guard, from its stored factors.

A round that was edited is not edited anew; of one that comes next, the update is computed first (`opened.pending`).
The update before the guards is what the round's values, sought under the guards of its own
lane, asked for; in a run with the other guard, layers after the first would be asked for more where an earlier one
gave less, and so would later rounds. The predicted score is of W_{t−1} + guarded ΔW.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from core.editing import guards
from core.editing.deltas.ledger import Ledger
from core.editing.guards.revive import Revive
from core.editing.lane.session import EditSession
from core.editing.lane.state import LayerUpdates
from core.editing.linalg.dominance import Dominance
from core.editing.linalg.lowrank import LowRank, added
from core.editing.linalg.subspace import Svd, svd
from core.editing.settings.parameters import Parameter, build, values
from core.errors import UserError, nearest
from core.facts.fact import Fact
from core.facts.source import FactSet, load_facts
from core.measures.inside.guard_sandbox import by_threshold, left_by_block, taken
from core.measures.outside.scores import pass_size, spread_sample
from core.models.forward import score
from core.models.language_model import LanguageModel
from core.runs.engine.laboratory import Laboratory
from core.runs.opened.pending import NEXT, compute, next_round
from core.runs.progress.control import Control
from core.runs.spec.left_out import left_out
from core.runs.spec.plan import Plan
from core.runs.spec.run_spec import RunSpec
from core.runs.store.folder import RunFolder
from core.runs.store.record import Record
from core.runs.store.store import Run

TAUS = [round(0.01 * step, 2) for step in range(1, 51)]  # of the curve, and of its slider
STEPS = 11  # points of the curve of a guard that has no closed form
MOST_SCORED = 100  # facts of a round
REMEMBERED = 3  # rounds, of those asked about last

Rated = list[tuple[float, bool]]
Weights = Mapping[int, Tensor]


@dataclass
class Opened:
    """A round read from a ledger: its update, the matrices that it is added to, the facts that are scored, and how
    they are said before it and after it. `curves` by guard, as they are asked for."""

    update: LayerUpdates
    base: Weights
    session: EditSession
    facts: Mapping[int, Fact]
    of: int
    before: Rated
    given: Rated
    curves: dict[Any, dict[str, Any]] = field(default_factory=dict)
    _current: dict[int, Svd] = field(default_factory=dict)

    @property
    def raw(self) -> dict[int, LowRank]:
        """ΔW before the guards, in float64: guards act there when a round is edited."""
        return {layer: self.update.raw[layer].to(torch.float64) for layer in self.update.updates}

    def svd(self, layer: int, current: bool) -> Svd:
        """The decomposition of W0, or of the matrix before the round."""
        if not current:
            return self.session.svd(layer)
        if layer not in self._current:
            self._current[layer] = svd(self.base[layer])
        return self._current[layer]

    def basis(self, acting: guards.Guard[Any], layer: int) -> Any:
        """What a guard prepares for a layer; not remembered, since a dragged τ is another guard at every step."""
        if acting.needs is None:
            return acting.prepare(None, layer)
        if acting.needs == guards.WEIGHT:
            return acting.prepare(self.base[layer], layer)
        return acting.prepare(self.svd(layer, acting.needs == guards.CURRENT), layer)


class Sandbox:
    """Answers for a lane's round what another guard would leave of it. Keeps what it read of the last few."""

    def __init__(self, laboratory: Laboratory):
        self._laboratory = laboratory
        self._opened: OrderedDict[tuple[Any, ...], Opened] = OrderedDict()
        self._facts: tuple[str, FactSet] | None = None

    def answer(
        self, lm: LanguageModel, run: Run, spec: RunSpec, payload: Mapping[str, Any], control: Control
    ) -> dict[str, Any]:
        """`payload`: `{"lane", "round", "guard": {"name", …} or null}`; the last round where none is named, and the one
        that is edited next for `"next"`, while the run does not go on: it is computed, which `control` may end.

        Returns `round` (its number), `pending` (whether it is still to be run), shares of ‖ΔW‖² over the edited layers
        (`removed`; `blocks` by block: raw, left, chance; `layers`), the `curve` of the guard's dial, and of each fact
        the probability per answer token and whether every token is the arg-max: before the round, as the lane is
        guarded (`given`), and `predicted`. Raises `UserError`.
        """
        began = time.perf_counter()
        acting, lane = chosen(payload.get("guard")), self._lane(run, payload)
        pending = payload.get("round") == NEXT
        if pending:
            number, ledger = self._ahead(lm, run, spec, lane, control)
        else:
            ledger = Ledger(RunFolder(run.folder).ledger)
            number = self._number(ledger, lane, payload)
        opened = self._open(lm, run, spec, ledger, lane, number)
        guarded = after(opened, acting)
        split = (acting.dominance if acting else None) or Dominance()  # where blocks are split
        current = acting is not None and acting.needs == guards.CURRENT
        bases = {layer: split.basis(opened.svd(layer, current)) for layer in guarded}
        worn = {
            layer: added(weight, guarded[layer].to(weight.dtype)) if layer in guarded else weight
            for layer, weight in opened.base.items()
        }
        predicted = rated(lm, worn, list(opened.facts.values()))
        raw = opened.raw
        return {
            "lane": lane,
            "round": number,
            "pending": pending,
            "guard": None if acting is None else {"name": payload["guard"]["name"], **values(acting)},
            "tau": split.tau,
            "removed": taken(raw, guarded),
            "blocks": left_by_block(raw, guarded, bases),
            "layers": [
                {"layer": n, "k": bases[n].inputs.shape[1], "norm": raw[n].norm()}
                | {"removed": taken({n: raw[n]}, {n: guarded[n]})}
                for n in raw
            ],
            "curve": curve(opened, acting),
            "given": {"removed": taken(raw, opened.update.updates), "guards": self._guards(run, lane, number)},
            "facts": rows(opened, predicted),
            "of": opened.of,
            "scores": {
                "before": summary(opened.before),
                "given": summary(opened.given),
                "predicted": summary(predicted),
            },
            "seconds": time.perf_counter() - began,
        }

    @staticmethod
    def _lane(run: Run, payload: Mapping[str, Any]) -> str:
        labels = [entry["name"] for entry in (run.spec or {})["lanes"]]  # lanes may have been added
        lane = str(payload.get("lane") or labels[0])
        if lane not in labels:
            raise UserError(f'there is no lane "{lane}"; {nearest(lane, labels)}')
        return lane

    @staticmethod
    def _number(ledger: Ledger, lane: str, payload: Mapping[str, Any]) -> int:
        there = ledger.rounds(lane)
        if not there:
            raise UserError(f"{lane} has no round yet; ask again when its first one is edited")
        asked = payload.get("round")
        number = there[-1] if asked is None else asked
        if number not in there:
            raise UserError(f"round {number} of {lane} is not edited yet; rounds {there[0]} to {there[-1]} are")
        return number

    def _ahead(self, lm: LanguageModel, run: Run, spec: RunSpec, lane: str, control: Control) -> tuple[int, Ledger]:
        """The number of a lane's next round, and the ledger that holds it."""
        record = Record.read(run.folder)
        number = next_round(run, record, lane)
        edited, facts = self._edited(run, spec, lane, number), self._all(run, spec).edit
        asked = [facts[index] for index in edited]
        return number, compute(self._laboratory, lm, run, spec, record, lane, asked, control)

    def _edited(self, run: Run, spec: RunSpec, lane: str, number: int) -> list[int]:
        """The facts of a round."""
        missing = left_out((run.spec or {})["lanes"], spec.round_size)[lane]
        edited = Plan(len(self._all(run, spec).edit), spec.round_size).edited_in(number, missing)
        if not edited:
            raise UserError(f"round {number} of {lane} edits nothing: its facts are left out")
        return edited

    def _open(self, lm: LanguageModel, run: Run, spec: RunSpec, ledger: Ledger, lane: str, number: int) -> Opened:
        place = (ledger.folder, lane, number, ledger.path(lane, number).stat().st_mtime_ns)
        if place not in self._opened:
            self._opened[place] = self._read(lm, run, spec, ledger, lane, number)
        self._opened.move_to_end(place)
        while len(self._opened) > REMEMBERED:
            self._opened.popitem(last=False)
        return self._opened[place]

    def _read(self, lm: LanguageModel, run: Run, spec: RunSpec, ledger: Ledger, lane: str, number: int) -> Opened:
        update = ledger.read(lane, number, lm.device)
        state = Ledger(RunFolder(run.folder).ledger).rebuild(lm, lane, list(update.updates), number - 1)
        base, before = dict(state.sums), dict(state.weights)
        session = self._laboratory.session(spec, ())
        state.apply(update)
        facts, edited = self._all(run, spec).edit, self._edited(run, spec, lane, number)
        sampled = {index: facts[index] for index in spread_sample(edited, MOST_SCORED, spec.seed)}
        asked = list(sampled.values())
        scored = rated(lm, before, asked), rated(lm, state.weights, asked)
        return Opened(update, base, session, sampled, len(edited), *scored)

    def _all(self, run: Run, spec: RunSpec) -> FactSet:
        if self._facts is None or self._facts[0] != run.id:
            self._facts = (run.id, load_facts(spec.facts, self._laboratory.assets))
        return self._facts[1]

    @staticmethod
    def _guards(run: Run, lane: str, number: int) -> list[dict[str, Any]]:
        """The guards that the round was edited under: the lane's, or those of the lane that it branched from."""
        made = Ledger(RunFolder(run.folder).ledger).holder(lane, number)
        return next(list(entry.get("guards") or ()) for entry in (run.spec or {})["lanes"] if entry["name"] == made)


def chosen(guard: Any) -> Any:
    """The guard that is asked for, or None for no guard."""
    if guard is None:
        return None
    if not isinstance(guard, Mapping) or not isinstance(guard.get("name"), str):
        raise UserError('the guard should be an object with its name, such as {"name": "revive", "tau": 0.1}, or null')
    config = guards.get(guard["name"])
    if config.when == guards.ACCUMULATED:
        raise UserError(f"{config.title} acts on all that was changed since W0, not on one round: choose it in a lane")
    if guard.get("match") is not None:
        raise UserError('"match" is solved for while a round is edited: give a factor, or choose it in a lane')
    return build(config, {name: value for name, value in guard.items() if name != "name"}, f"The guard {guard['name']}")


def after(opened: Opened, acting: Any) -> dict[int, LowRank]:
    """The round's update of each layer after a guard."""
    if acting is None:
        return opened.raw
    return {layer: acting.apply(delta, opened.basis(acting, layer)) for layer, delta in opened.raw.items()}


def curve(opened: Opened, acting: guards.Guard[Any] | None) -> dict[str, Any] | None:
    """What a guard takes over the values of its dial: `{"field", "x", "removed"}`; of REVIVE also `blocks` (raw shares)
    and `k` by layer at each τ."""
    if acting is None:
        return None
    known = guards.dial(type(acting))
    key = (type(acting), tuple((k, v) for k, v in values(acting).items() if k != known.name))
    if key not in opened.curves:
        opened.curves[key] = _closed(opened, acting) if isinstance(acting, Revive) else _sampled(opened, acting, known)
    return opened.curves[key]


def _closed(opened: Opened, acting: Revive) -> dict[str, Any]:
    svds = {layer: opened.svd(layer, acting.basis == guards.CURRENT) for layer in opened.update.updates}
    blocks, ranks = by_threshold(opened.raw, svds, TAUS, acting.by)
    removed = [1 - share for share in blocks["rest → rest"]]
    return {"field": "tau", "x": TAUS, "removed": short(removed), "k": {str(n): k for n, k in ranks.items()}} | {
        "blocks": {name: short(shares) for name, shares in blocks.items()}
    }


def _sampled(opened: Opened, acting: Any, known: Parameter) -> dict[str, Any]:
    """At a few values, each by the guard itself."""
    low, high = guards.reach(known)
    x = [low + (high - low) * step / (STEPS - 1) for step in range(STEPS)]
    others = {name: value for name, value in values(acting).items() if name != known.name}
    raw = opened.raw
    removed = [
        taken(raw, after(opened, build(type(acting), others | {known.name: value}, acting.title))) for value in x
    ]
    return {"field": known.name, "x": short(x), "removed": short(removed)}


def rated(lm: LanguageModel, weights: Weights, facts: Sequence[Fact]) -> Rated:
    """(probability per answer token, whether every token is the arg-max) of each fact's new object."""
    with lm.worn(weights):
        found = score(lm, [fact.text for fact in facts], [fact.target for fact in facts], pass_size(lm))
    return [(math.exp(p), exact) for p, exact in zip(found.logprob.tolist(), found.exact.tolist(), strict=True)]


def summary(found: Rated) -> dict[str, float]:
    """Means over facts."""
    return {"p": sum(p for p, _ in found) / len(found), "exact": sum(exact for _, exact in found) / len(found)}


def rows(opened: Opened, predicted: Rated) -> list[dict[str, Any]]:
    """A row per scored fact; `fact` counts from 0 in the run."""
    scored = zip(opened.before, opened.given, predicted, strict=True)
    return [
        {"fact": index, "prompt": fact.text, "target": fact.target, "truth": fact.truth}
        | {name: [round(p, 4), exact] for name, (p, exact) in zip(("before", "given", "predicted"), each, strict=True)}
        for (index, fact), each in zip(opened.facts.items(), scored, strict=True)
    ]


def short(numbers: Sequence[float]) -> list[float]:
    """Numbers with as many digits as a curve shows."""
    return [round(number, 4) for number in numbers]
