"""Procedures of a round that several methods share: all facts together, or one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields

import torch
from jaxtyping import Float
from torch import Tensor

from core.editing.lane.layer_method import LayerMethod
from core.editing.lane.method import Round
from core.editing.lane.results import RoundUpdate, Values
from core.editing.linalg.lowrank import total
from core.editing.rounds.guard_aware import protected
from core.editing.rounds.spread import removed, spread
from core.editing.values.keys import prompts, states
from core.editing.values.optimise import Problem, optimise_values


def all_at_once(round_: Round, values_of: Callable[[Round], Values] | None = None) -> RoundUpdate:
    """All facts at once: their target values (by default `target_values`), then the spread over the layers."""
    return spread_values(round_, values_once(round_, values_of or target_values))


def spread_values(round_: Round, values: Values) -> RoundUpdate:
    """`spread`, timed."""
    with round_.session.watch.phase("solve"):
        return spread(round_, values)


def values_once(round_: Round, values_of: Callable[[Round], Values]) -> Values:
    """The round's target values, computed once."""
    with round_.session.watch.phase("values"):
        return round_.once("values", lambda: values_of(round_))


def one_by_one(round_: Round) -> RoundUpdate:
    """Fact after fact, each on the model after the earlier ones (ROME); the round is the sum of their updates."""
    state, steps = round_.state.copy(), []
    for index, fact in enumerate(round_.facts):
        step = all_at_once(round_.part([fact], state, index, len(round_.facts)))
        state.apply(step)
        steps.append(step)
    return joined(steps)


def target_values(round_: Round, original: bool = False) -> Values:
    """The target values of a round at the last edited layer, on the lane's current model, or on the original one."""
    lm, facts, method, last = round_.lm, round_.facts, LayerMethod.of(round_.recipe), round_.recipe.layers[-1]
    contexts = round_.session.contexts(method)
    weights = {} if original else round_.state.sums
    basis = protected(round_.recipe, last, round_.state.sums[last], round_.session)
    with lm.worn(weights):
        rows, beat = prompts(lm, facts, ()), round_.heartbeat
        start = states(lm, rows, last, method.site, beat) if method.site != "block" else None
        problem = Problem(lm, facts, last, contexts, None if basis is None else basis.outputs, start)
        values = optimise_values(problem, method, round_.heartbeat, round_.progress)
    return wrapped_values(round_, values, weights)


def wrapped_values(
    round_: Round, values: Values, weights: Mapping[int, Float[Tensor, "d_out d_in"]] | None = None
) -> Values:
    """The values as the lane's wrapper, if it has one, wants them. They were found on the model in `weights`, by
    default the lane's current ones."""
    if round_.recipe.wrapper is None:
        return values
    return round_.recipe.wrapper.values(round_, values, round_.state.sums if weights is None else weights)


def joined(steps: Sequence[RoundUpdate]) -> RoundUpdate:
    """One update from those of the round's facts, in their order."""
    first = steps[0]
    layers = list(first.updates)
    updates = {layer: total([step.updates[layer] for step in steps]) for layer in layers}
    raw = {layer: total([step.raw[layer] for step in steps]) for layer in layers}

    def columns(name: str) -> Tensor | None:
        parts = [getattr(step, name) for step in steps]
        return None if any(part is None for part in parts) else torch.cat(parts, 1)

    def mean(name: str) -> dict[int, float]:
        return {layer: sum(getattr(step, name)[layer] for step in steps) / len(steps) for layer in layers}

    return RoundUpdate(
        updates=updates,
        keys={layer: torch.cat([step.keys[layer] for step in steps], 1) for layer in layers},
        raw=raw,
        removed_share={layer: removed(raw[layer], updates[layer]) for layer in layers},
        residual_before=mean("residual_before"),
        residual_after=mean("residual_after"),
        values=type(first.values)(
            **{part.name: torch.cat([getattr(s.values, part.name) for s in steps], -1) for part in fields(first.values)}
        ),
        notes=list(dict.fromkeys(note for step in steps for note in step.notes)),
        memory={name: value for step in steps for name, value in step.memory.items()},
        start=columns("start"),
        target=columns("target"),
    )
