"""The guard sandbox: what another guard would leave of a stored round.

A stored round is not edited again. For the next round of a lane, the update is computed first (`opened.pending`).
The sandbox applies the other guard to the round's raw update, whose values were optimised under the lane's own guards.
In a full run with the other guard, later layers and later rounds would compensate for what it removes; the sandbox
leaves that out. The predicted score is of W_{t−1} + guarded ΔW.
"""

from __future__ import annotations

import math
import time
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
from core.measures.inside.guard_sandbox import by_threshold, left_by_block, taken
from core.measures.outside.scores import pass_size, spread_sample
from core.models.forward import score
from core.models.language_model import LanguageModel
from core.runs.opened.pending import NEXT, compute, next_round
from core.runs.opened.run import OpenedLane, OpenedRun
from core.runs.store.store import Run

TAUS = [round(0.01 * step, 2) for step in range(1, 51)]  # of the curve, and of its slider
STEPS = 11  # points of the curve of a guard that has no closed form
MOST_SCORED = 100  # facts of a round

Rated = list[tuple[float, bool]]
Weights = Mapping[int, Tensor]


@dataclass
class StoredRound:
    """A round read from a ledger: its update, the weights that it is added to, the scored facts by index, the number of
    edited facts (`of`), and the facts' ratings `before` the round and after it (`given`). `curves` caches by guard."""

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

    def size(self) -> int:
        """Approximate bytes of its tensors, with the decompositions that may be made of them."""
        update = sum(delta.left.nbytes + delta.right.nbytes for delta in self.raw.values())
        return update + 4 * sum(weight.nbytes for weight in self.base.values())

    def basis(self, acting: guards.Guard[Any], layer: int) -> Any:
        """What a guard prepares for a layer. It is not cached, because a dragged τ is another guard at every step."""
        if acting.needs is None:
            return acting.prepare(None, layer)
        if acting.needs == guards.WEIGHT:
            return acting.prepare(self.base[layer], layer)
        return acting.prepare(self.svd(layer, acting.needs == guards.CURRENT), layer)


def sandbox(run: OpenedRun, stored_run: Run, payload: Mapping[str, Any]) -> dict[str, Any]:
    """What another guard would leave of a lane's round.

    `stored_run` is the run as the store has it. `payload`: `{"lane", "round", "guard": {"name", …} or null}`. The
    default is the last round; `"next"` is the round that is edited next. That one is computed first, only while the run
    is not running, and the run's control may interrupt it.

    Returns `round` (its number), `pending` (whether the run has still to edit it), shares of ‖ΔW‖² over the edited
    layers (`removed`; `blocks` by block: raw, left, chance; `layers`), the `curve` over the guard's main parameter, and
    for each fact the probability per answer token and whether every token is the arg-max: `before` the round, with the
    lane's own guards (`given`), and `predicted`. Raises `UserError`.
    """
    began = time.perf_counter()
    acting, label = guard_of(payload.get("guard")), _label(stored_run, payload)
    pending = payload.get("round") == NEXT
    if pending:
        number = next_round(stored_run.status, run.record, label)
        lane = run.lane(label)
        indices, facts = _edited(lane, number), run.facts.edit
        ledger = compute(lane, number, [facts[index] for index in indices])
    elif label not in run.labels:  # it was added, and has not begun
        raise UserError(f"{label} has no round yet; ask again when its first one is edited")
    else:
        lane, ledger = run.lane(label), run.ledger
        number = lane.at(payload.get("round"), first=1).round
    version = ledger.path(label, number).stat().st_mtime_ns
    key = "sandbox", str(ledger.folder), label, number
    stored = run.laboratory.recent.made(key, lambda: _read(lane, ledger, number), version, StoredRound.size)
    guarded = after(stored, acting)
    split = (acting.dominance if acting else None) or Dominance()  # where blocks are split
    current = acting is not None and acting.needs == guards.CURRENT
    bases = {layer: split.basis(stored.svd(layer, current)) for layer in guarded}
    worn = {
        layer: added(weight, guarded[layer].to(weight.dtype)) if layer in guarded else weight
        for layer, weight in stored.base.items()
    }
    predicted = rated(run.lm, worn, list(stored.facts.values()))
    raw = stored.raw
    return {
        "lane": label,
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
        "curve": curve(stored, acting),
        "given": {"removed": taken(raw, stored.update.updates), "guards": _guards(run, label, number)},
        "facts": rows(stored, predicted),
        "of": stored.of,
        "scores": {
            "before": summary(stored.before),
            "given": summary(stored.given),
            "predicted": summary(predicted),
        },
        "seconds": time.perf_counter() - began,
    }


def _label(stored_run: Run, payload: Mapping[str, Any]) -> str:
    labels = [entry["name"] for entry in (stored_run.spec or {})["lanes"]]  # lanes may have been added
    label = str(payload.get("lane") or labels[0])
    if label not in labels:
        raise UserError(f'there is no lane "{label}"; {nearest(label, labels)}')
    return label


def _edited(lane: OpenedLane, number: int) -> list[int]:
    """The facts of a round."""
    edited = lane.edited_in(number)
    if not edited:
        raise UserError(f"round {number} of {lane.label} edits nothing: its facts are left out")
    return edited


def _read(lane: OpenedLane, ledger: Ledger, number: int) -> StoredRound:
    run, lm = lane.run, lane.run.lm
    if not lane.recipe.changes_weights:
        raise UserError(f"{lane.label} changes no weights: there is no update that a guard could act on")
    update = ledger.read(lane.label, number, lm.device)
    state = run.states.at(lane.label, run.plan.base(number), list(update.updates), beat=run.control.heartbeat)
    base, before = dict(state.sums), dict(state.weights)
    state.apply(update)
    facts, edited = run.facts.edit, _edited(lane, number)
    sampled = {index: facts[index] for index in spread_sample(edited, MOST_SCORED, run.spec.seed)}
    scored_facts = list(sampled.values())
    ratings = rated(lm, before, scored_facts), rated(lm, state.weights, scored_facts)
    return StoredRound(update, base, run.session, sampled, len(edited), *ratings)


def _guards(run: OpenedRun, label: str, number: int) -> list[dict[str, Any]]:
    """The guards of the round: the lane's own, or those of the lane that it branched from."""
    made = run.ledger.holder(label, number)
    return next(list(entry.get("guards") or ()) for entry in run.spec.lanes if entry["name"] == made)


def guard_of(guard: Any) -> Any:
    """The guard that a request describes; None for no guard. Raises `UserError`."""
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


def after(stored: StoredRound, acting: Any) -> dict[int, LowRank]:
    """The round's update of each layer after a guard."""
    if acting is None:
        return stored.raw
    return {layer: acting.apply(delta, stored.basis(acting, layer)) for layer, delta in stored.raw.items()}


def curve(stored: StoredRound, acting: guards.Guard[Any] | None) -> dict[str, Any] | None:
    """The share that a guard removes as a function of its main parameter: `{"field", "x", "removed"}`; for REVIVE also
    `blocks` (raw shares) and `k` by layer at each τ. None for a guard without such a parameter."""
    if acting is None:
        return None
    known = guards.dial(type(acting))
    if known is None:
        return None
    key = (type(acting), tuple((k, v) for k, v in values(acting).items() if k != known.name))
    if key not in stored.curves:
        stored.curves[key] = _closed(stored, acting) if isinstance(acting, Revive) else _sampled(stored, acting, known)
    return stored.curves[key]


def _closed(stored: StoredRound, acting: Revive) -> dict[str, Any]:
    svds = {layer: stored.svd(layer, acting.basis == guards.CURRENT) for layer in stored.update.updates}
    blocks, ranks = by_threshold(stored.raw, svds, TAUS, acting.by)
    removed = [1 - share for share in blocks["rest → rest"]]
    return {"field": "tau", "x": TAUS, "removed": short(removed), "k": {str(n): k for n, k in ranks.items()}} | {
        "blocks": {name: short(shares) for name, shares in blocks.items()}
    }


def _sampled(stored: StoredRound, acting: Any, known: Parameter) -> dict[str, Any]:
    """The curve at `STEPS` values, each computed by the guard itself."""
    low, high = guards.reach(known)
    x = [low + (high - low) * step / (STEPS - 1) for step in range(STEPS)]
    others = {name: value for name, value in values(acting).items() if name != known.name}
    raw = stored.raw
    removed = [
        taken(raw, after(stored, build(type(acting), others | {known.name: value}, acting.title))) for value in x
    ]
    return {"field": known.name, "x": short(x), "removed": short(removed)}


def rated(lm: LanguageModel, weights: Weights, facts: Sequence[Fact]) -> Rated:
    """For each fact: (probability per token of its new object, whether every token is the arg-max)."""
    with lm.worn(weights):
        scores = score(lm, [fact.text for fact in facts], [fact.target for fact in facts], pass_size(lm))
    return [(math.exp(p), exact) for p, exact in zip(scores.logprob.tolist(), scores.exact.tolist(), strict=True)]


def summary(ratings: Rated) -> dict[str, float]:
    """The means over facts of `rated`."""
    return {"p": sum(p for p, _ in ratings) / len(ratings), "exact": sum(exact for _, exact in ratings) / len(ratings)}


def rows(stored: StoredRound, predicted: Rated) -> list[dict[str, Any]]:
    """One row per scored fact; `fact` is its index in the run, from 0."""
    scored = zip(stored.before, stored.given, predicted, strict=True)
    return [
        {"fact": index, "prompt": fact.text, "target": fact.target, "truth": fact.truth}
        | {name: [round(p, 4), exact] for name, (p, exact) in zip(("before", "given", "predicted"), each, strict=True)}
        for (index, fact), each in zip(stored.facts.items(), scored, strict=True)
    ]


def short(numbers: Sequence[float]) -> list[float]:
    """Numbers rounded to the four digits that a curve shows."""
    return [round(number, 4) for number in numbers]
