"""One round of edits: by the lane's method, then by the guards of the accumulated change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from core.editing.lane.method import Recipe, Round
from core.editing.lane.results import Fit, RoundUpdate
from core.editing.lane.session import EditSession
from core.editing.lane.state import LaneState
from core.editing.linalg.lowrank import LowRank, added, factored
from core.editing.rounds.matched_shrinkage import solve_factor
from core.editing.rounds.spread import passed, removed
from core.editing.stopwatch import WAITING, Stopwatch
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
    progress: Callable[[str, int, int], None] | None = None,
) -> RoundUpdate:
    """Edit `facts` on top of `state`, which is not changed: `state.apply(update)` adds the round. No facts, no change.

    `matched` is for recipes with a guard that matches another lane: that lane's exact efficacy (arg-max) on this
    round's facts just after its own edit. `heartbeat` is called between optimiser steps and between layers; it may
    raise, and it may set other weights for a while. `progress` is called there with the phase ("values" or "layers"),
    the step or layer that begins, and how many there are. The `seconds` of the result add up to the time of this call.
    """
    if not facts:
        return nothing()
    if recipe.match is not None and matched is None:
        raise UserError(f'Lane "{recipe.label}" matches "{recipe.match}": that lane has to be edited first.')
    watch = session.watch
    with watch.counted() as seconds:
        round_ = Round(lm, state, facts, recipe, session, waited(heartbeat, watch), progress)
        if matched is None or recipe.match is None:
            update = whole_round(round_)
        else:
            with watch.phase("match"):
                update = solve_factor(round_, matched, whole_round)
    return replace(update, seconds=seconds)


def waited(heartbeat: Callable[[], None] | None, watch: Stopwatch) -> Callable[[], None] | None:
    """The heartbeat; its time (a pause, or questions) is not charged to the edit."""
    if heartbeat is None:
        return None

    def beat() -> None:
        with watch.phase(WAITING):
            heartbeat()

    return beat


def nothing() -> RoundUpdate:
    """The update of a round without facts."""
    none = torch.zeros(0)
    return RoundUpdate({}, {}, {}, {}, {}, Fit(none, none, none.int()))


def whole_round(round_: Round) -> RoundUpdate:
    """The round by its method, with corrections by guards of the accumulated change."""
    update = round_.recipe.editor.edit(round_)
    return corrected(update, round_) if round_.recipe.total_guards else update


def corrected(update: RoundUpdate, round_: Round) -> RoundUpdate:
    """The update with the corrections of guards that act on the accumulated change ΔW = W_t − W_0 (PRUNE).

    The lane uses W_0 + guarded(ΔW), and its next round continues from W_0 + ΔW; with a guard that acts `every_round` it
    continues from the guarded weights.
    """
    updates, shares, corrections = dict(update.updates), dict(update.removed_share), {}
    for layer, delta in update.updates.items():
        round_.beat()
        with round_.session.watch.phase("guard"):
            after = added(round_.state.sums[layer], delta)
            correction, taken = correction_of(round_.lm, round_.recipe, round_.session, layer, after)
        shares[layer] = 1 - (1 - shares[layer]) * (1 - taken)
        if correction.columns and goes_on(round_.recipe):
            updates[layer] = delta.plus(correction)
        elif correction.columns:
            corrections[layer] = correction
    return replace(update, updates=updates, removed_share=shares, corrections=corrections)


def correction_of(
    lm: LanguageModel, recipe: Recipe, session: EditSession, layer: int, total: Float[Tensor, "d_out d_in"]
) -> tuple[LowRank, float]:
    """(the difference of W_0 + guarded(ΔW) from `total` = W_0 + ΔW, the share of ‖ΔW‖² that the guards removed)."""
    original = lm.original(layer)
    change = LowRank.full((total - original).double())
    left = passed(change, recipe.total_guards, session, layer, original)
    return factored(left.dense() - change.dense(), original.dtype).to(original.dtype), removed(change, left)


def goes_on(recipe: Recipe) -> bool:
    """Whether rounds continue from the weights after the guards of the accumulated change."""
    return any(acting.every_round for acting in recipe.total_guards)


def worn_instead(
    lm: LanguageModel, recipe: Recipe, session: EditSession, sums: Mapping[int, Float[Tensor, "d_out d_in"]]
) -> dict[int, Float[Tensor, "d_out d_in"]]:
    """The matrices that a lane of this recipe uses if its updates add up to `sums`: only those that differ."""
    if not recipe.total_guards or goes_on(recipe):
        return {}
    corrections = {layer: correction_of(lm, recipe, session, layer, total)[0] for layer, total in sums.items()}
    return {layer: added(sums[layer], change) for layer, change in corrections.items() if change.columns}
