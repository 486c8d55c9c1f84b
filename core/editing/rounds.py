"""One round of edits: target values, then their spread over the layers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from core.editing.match import solve_factor
from core.editing.recipe import Recipe
from core.editing.session import EditSession
from core.editing.spread import RoundUpdate, spread
from core.editing.state import LaneState
from core.editing.values import Values, optimise_values
from core.errors import UserError
from core.facts.fact import Fact
from core.models.language_model import LanguageModel


def edit_round(
    lm: LanguageModel,
    state: LaneState,
    facts: Sequence[Fact],
    recipe: Recipe,
    session: EditSession,
    heartbeat: Callable[[], None] | None = None,
    matched: float | None = None,
) -> RoundUpdate:
    """Edit `facts` on top of `state`, which is not changed: `state.apply(update)` adds the round.

    `matched` is for recipes with a guard that matches another lane: that lane's share of this round's facts that it
    says exactly (arg-max) just after its own edit. `heartbeat` is called between optimiser steps and between layers;
    it may raise, and it may make the model wear other weights for a while.
    """
    if recipe.match is not None and matched is None:
        raise UserError(f'Lane "{recipe.label}" matches "{recipe.match}": that lane has to be edited first.')
    began = time.perf_counter()
    values = value_round(lm, state, facts, recipe, session, heartbeat)
    spent = time.perf_counter() - began
    if recipe.match is not None:
        update = solve_factor(lm, state, facts, values, recipe, session, matched, heartbeat)
    else:
        update = spread(lm, state, facts, values, recipe, session, heartbeat)
    return replace(update, seconds={**update.seconds, "values": spent})


def value_round(
    lm: LanguageModel,
    state: LaneState,
    facts: Sequence[Fact],
    recipe: Recipe,
    session: EditSession,
    heartbeat: Callable[[], None] | None = None,
) -> Values:
    """The target values of a round at the last edited layer, on the lane's current model."""
    contexts = session.contexts(recipe.method)
    with lm.worn(state.weights):
        return optimise_values(lm, facts, recipe.layers[-1], recipe.method, contexts, heartbeat)
