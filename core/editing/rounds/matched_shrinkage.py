"""A control at equal efficacy: shrinkage solved so that a round's efficacy is that of the lane that it is compared
with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from core.editing.lane.method import Round
from core.editing.lane.results import RoundUpdate
from core.editing.lane.state import LaneState
from core.facts.fact import Fact
from core.models.forward import score
from core.models.language_model import LanguageModel

Beat = Callable[[], None]
TRIES = 7  # the factor is found to 1/64


def just_edited(
    lm: LanguageModel, state: LaneState, update: RoundUpdate, facts: Sequence[Fact], beat: Beat | None = None
) -> float:
    """The share of a round's facts whose every target token is the model's arg-max, right after the round."""
    edited = state.copy()
    edited.apply(update)
    return exact(lm, edited, facts, beat)


def exact(lm: LanguageModel, state: LaneState, facts: Sequence[Fact], beat: Beat | None = None) -> float:
    """The share of facts whose every target token is the model's arg-max in this state. `beat` is called after each
    pass of the model."""
    with lm.worn(state.worn):
        scores = score(lm, [fact.text for fact in facts], [fact.target for fact in facts], beat=beat)
    return float(scores.exact.double().mean())


def solve_factor(round_: Round, matched: float, edit: Callable[[Round], RoundUpdate]) -> RoundUpdate:
    """The round with the factor in [0, 1] whose exact efficacy on the round's facts is nearest to `matched`.

    Bisection: a larger part of the update gives higher efficacy. Each attempt edits the round again by `edit`, since
    later layers compensate for smaller earlier updates. Of equally near factors the smallest tried is used.
    """
    low, high, factor = 0.0, 1.0, 1.0
    nearest: tuple[float, float] | None = None
    for _ in range(TRIES):
        update = edit(replace(round_, recipe=round_.recipe.with_factor(factor)))
        reached = just_edited(round_.lm, round_.state, update, round_.facts, round_.heartbeat)
        if nearest is None or (abs(reached - matched), factor) < nearest:
            nearest, best = (abs(reached - matched), factor), replace(update, factor=factor)
        if reached == matched:
            break
        if reached < matched:
            low = factor
        else:
            high = factor
        if low >= high:
            break
        factor = (low + high) / 2
    return best
