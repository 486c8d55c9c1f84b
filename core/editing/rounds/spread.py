"""From target values to weight updates: the residual is spread over the edited layers, lowest first (MEMIT, Alg. 1).

For layer l, the i-th of n: keys at l and the current value at the last edited layer are read from the partly edited
model; the layer adds share(i, n) of the remaining residual; its update passes the guards that act within a layer and is
in place for the next one. Guards that act after all layers follow at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from core.editing.failure import EditFailure, remedy
from core.editing.guards import Guard
from core.editing.lane.layer_method import LayerMethod
from core.editing.lane.method import Round
from core.editing.lane.results import RoundUpdate, Values
from core.editing.lane.session import EditSession
from core.editing.linalg.lowrank import LowRank, added
from core.editing.rounds.guard_aware import layer_update
from core.editing.values.keys import Reading, finite, prompts
from core.facts.fact import Fact
from core.models.language_model import LanguageModel


def spread(round_: Round, values: Values) -> RoundUpdate:
    """The round's updates of all layers; `round_.state` is not changed. Raises `EditFailure` for numerical failures.

    `round_.progress` is called with ("layers", the layer that begins, how many there are).
    """
    lm, state, facts, recipe, session = round_.lm, round_.state, round_.facts, round_.recipe, round_.session
    method, layers, last = LayerMethod.of(recipe), recipe.layers, recipe.layers[-1]
    watch = session.watch
    with watch.phase("keys"):
        rows = prompts(lm, facts, session.contexts(method))
        reading = Reading(lm, rows, method.flat_mean, round_.heartbeat)
    weights = dict(state.sums)
    updates: dict[int, LowRank] = {}
    keys: dict[int, Tensor] = {}
    raw: dict[int, LowRank] = {}
    taken: dict[int, float] = {}  # the share of ‖ΔW‖² that the guards removed
    before: dict[int, float] = {}
    notes: list[str] = []
    solved: dict[int, tuple[LowRank, LowRank]] = {}
    wanted = values.delta.norm(dim=0)
    for index, layer in enumerate(layers):
        round_.beat()
        round_.tell("layers", index + 1, len(layers))
        weight = weights[layer]
        with watch.phase("keys"), lm.worn(weights):
            read = reading.at(layer, last, method.site, method.mean_states)
        missing = values.target - read.value
        check(facts, method, layer, read.key, missing)
        keys[layer] = read.key.to(weight.dtype)  # as the lane's history has it, and so the updates of later rounds
        before[layer] = relative(missing, wanted)
        context = session.context(layer, weight, state.history[layer], recipe.prior, read.bare, notes)
        share = missing * method.share(index, len(layers))
        try:
            whole = layer_update(
                recipe, keys[layer].double(), at_weight(lm, layer, share, weight, read.bare), context, session
            )
        except EditFailure as failure:
            raise failure.naming(facts, method) from None
        check(facts, method, layer, whole.right, whole.left)
        with watch.phase("guard"):
            guarded = passed(whole, recipe.layer_guards, session, layer, weight)
        solved[layer] = whole, guarded
        updates[layer], raw[layer] = guarded.to(weight.dtype), whole.to(weight.dtype)
        taken[layer] = removed(whole, guarded)
        weights[layer] = added(weight, updates[layer])
    for layer, (whole, guarded) in solved.items() if recipe.round_guards else ():
        weight = state.sums[layer]
        with watch.phase("guard"):
            left = passed(guarded, recipe.round_guards, session, layer, weight)
        updates[layer], taken[layer] = left.to(weight.dtype), removed(whole, left)
        weights[layer] = added(weight, updates[layer])
    with watch.phase("keys"), lm.worn(weights):
        rest = values.target - reading.value(last, method.site)
    check(facts, method, last, rest, rest)
    after = [*list(before.values())[1:], relative(rest, wanted)]
    return RoundUpdate(
        updates=updates,
        keys=keys,
        raw=raw,
        removed_share=taken,
        residual_before=before,
        residual_after=dict(zip(layers, after, strict=True)),
        values=values,
        notes=notes,
        start=values.start.to(lm.master_dtype),
        target=values.target.to(lm.master_dtype),
    )


def at_weight(
    lm: LanguageModel,
    layer: int,
    residual: Float[Tensor, "d b"],
    weight: Float[Tensor, "d d_in"],
    bare: Float[Tensor, "d_in b"],
) -> Float[Tensor, "d b"]:
    """The additional output of the down-projection, in the bare prompts, that makes its layer add `residual`."""
    if not lm.anatomy.after:
        return residual
    bias, output = lm.bias(layer), weight.double() @ bare
    return lm.before_norm(layer, residual, output if bias is None else output + bias.double()[:, None])


def passed(
    delta: LowRank, guards: Sequence[Guard[Any]], session: EditSession, layer: int, weight: Float[Tensor, "d d_in"]
) -> LowRank:
    """A change of a layer's current `weight` after these guards, in their order."""
    for acting in guards:
        delta = acting.apply(delta, session.basis(acting, layer, weight))
    return delta


def removed(raw: LowRank, guarded: LowRank) -> float:
    """1 − ‖guarded‖²/‖raw‖²; 0 for a zero update."""
    whole = raw.inner(raw)
    return 1 - guarded.inner(guarded) / whole if whole > 0 else 0.0


def relative(missing: Tensor, wanted: Tensor) -> float:
    """The mean of the residual as a share of the initial one, over the facts of which anything is wanted; 0 if there
    are none."""
    some = wanted > 1e-12
    return float((missing.norm(dim=0)[some] / wanted[some]).mean()) if bool(some.any()) else 0.0


def check(facts: Sequence[Fact], method: LayerMethod, layer: int, *numbers: Tensor) -> None:
    """`EditFailure` naming the first fact whose column is not finite."""
    for matrix in numbers:
        good = finite(matrix)
        if not all(good):
            fact = facts[min(good.index(False), len(facts) - 1)]
            raise EditFailure(
                f'The edit of "{fact.text} {fact.target}" at layer {layer} is not finite: the model is too far from'
                f" where it began, or its type too narrow. Use fewer rounds. {remedy(method)}"
            )
