"""Times by a clock that the test turns: heavy work takes seconds, all else takes none."""

from collections.abc import Callable
from dataclasses import replace
from pkgutil import resolve_name
from typing import Any

import pytest
import torch

from core.editing import guards
from core.editing.failure import EditFailure
from core.editing.lane.method import WEIGHTS, Recipe
from core.editing.lane.session import EditSession, model_info
from core.editing.lane.state import LaneState
from core.editing.recipe import recipe_from_dict
from core.editing.rounds.edit_round import edit_round
from core.editing.stopwatch import PHASES, SETUP, WAITING, Stopwatch, charged
from tests.editing.common import FACTS, changing, session_of
from tests.editing.test_every_method import NONE, recipe_for

LINALG = ("svd", "eigh", "eigvalsh", "cholesky_ex", "solve_triangular", "pinv", "qr")
HEAVY = (
    "core.editing.rounds.procedures.optimise_values",
    "core.editing.rounds.layer_choice.optimise_values",
    "core.editing.rounds.matched_shrinkage.score",
    "core.editing.methods._pmet_values.Joint.evaluate",
    "core.editing.methods._adapters.practised",
    "core.editing.methods._fine_tuning.practised",
    "core.editing.methods._oft.practised",
    "core.editing.methods._gradients.answers",
    "core.editing.methods._gradients.score",
    "core.editing.rounds.spread.prompts",
    "core.editing.rounds.procedures.prompts",
    "core.editing.lane.session.sample_contexts",
    "core.models.activation_cache.ActivationCache.at",
    "core.editing.wrappers._regression.token_keys",
)


class Clock:
    """Seconds that pass only where they are told to; `all` of them."""

    def __init__(self) -> None:
        self.all = 0.0

    def __call__(self) -> float:
        return self.all

    def takes(self, seconds: float, function: Callable) -> Callable:
        def timed(*args: Any, **options: Any) -> Any:
            self.all += seconds
            return function(*args, **options)

        return timed


@pytest.fixture
def clock(monkeypatch):
    """One second for each decomposition, solve and pass through the model."""
    clock = Clock()
    for name in LINALG:
        monkeypatch.setattr(torch.linalg, name, clock.takes(1.0, getattr(torch.linalg, name)))
    for place in HEAVY:
        monkeypatch.setattr(place, clock.takes(1.0, resolve_name(place)))
    return clock


def session_with(lm, clock) -> EditSession:
    return replace(session_of(lm), watch=Stopwatch(clock=clock))


def test_a_moment_counts_for_the_innermost_phase():
    clock = Clock()
    watch = Stopwatch(clock=clock)

    def spend(seconds: float) -> None:
        clock.all += seconds

    with watch.phase("values"):  # nothing is counted yet
        spend(100)
    with watch.counted() as seconds:
        spend(1)
        with watch.phase("solve"):
            spend(2)
            with watch.phase(SETUP):
                spend(4)
            spend(8)
        with watch.phase("solve"):
            spend(16)
    assert seconds == {"other": 1.0, "solve": 26.0, SETUP: 4.0}
    assert charged({**seconds, "total": 31.0}) == 27.0
    assert charged({"values": 1.0, "total": 5.0}) == 5.0  # as runs were stored before there was set-up


def test_what_is_counted_while_something_waits_is_none_of_its_phases():
    clock = Clock()
    watch = Stopwatch(clock=clock)
    with watch.counted() as outer, watch.phase("values"):
        clock.all += 1
        with watch.phase(WAITING):
            clock.all += 2
            with watch.counted() as inner, watch.phase("values"):
                clock.all += 4
    assert inner == {"values": 4.0, "other": 0.0}
    assert outer == {"values": 1.0, WAITING: 6.0, "other": 0.0}


def test_phases_are_closed_by_an_error():
    clock = Clock()
    watch = Stopwatch(clock=clock)

    def broken() -> None:
        with watch.phase("solve"):
            clock.all += 1
            raise EditFailure("broken")

    with watch.counted() as seconds:
        with pytest.raises(EditFailure):
            broken()
        clock.all += 2
    assert seconds == {"solve": 1.0, "other": 2.0}


# Guards act behind the method, in one place for all: every method without and with one, every guard behind two methods.
EACH = {(method, guard) for method in changing(WEIGHTS) for guard in (NONE, "revive")}
EACH |= {(method, guard) for method in ("memit", "ft_m") for guard in guards.names()}


@pytest.mark.parametrize("method, guard", sorted(EACH))
def test_phases_add_up_and_nothing_heavy_is_left_over(lm, clock, method, guard):
    """The phases' sum is the whole to the last bit, and what is left has no heavy work."""
    told: list[float] = []
    choosing = {"select": "selected"} if method == "mose" else {}
    session, recipe = session_with(lm, clock), recipe_for(lm, method, guard, steps=2, contexts=0, **choosing)
    began = clock.all

    def beat() -> None:
        clock.all += 0.25
        told.append(0.25)

    update = edit_round(lm, LaneState.base(lm, recipe.layers), FACTS[:2], recipe, session, beat)
    assert sum(update.seconds.values()) == clock.all - began
    assert set(update.seconds) <= {*PHASES, SETUP, WAITING}
    assert update.seconds["other"] == 0
    assert update.seconds[WAITING] == sum(told)
    assert update.seconds["values"] > 0
    if method == "mose":
        assert update.seconds["select"] > 0
    if guard == "prune" or (guard, method) == ("revive", "memit"):
        assert update.seconds.get("guard", 0.0) + update.seconds[SETUP] > 0


def test_what_prune_decomposes_is_the_guards(lm, clock):
    session, recipe = session_with(lm, clock), recipe_for(lm, "ft_m", "prune")
    state = LaneState.base(lm, recipe.layers)
    state.sums = {layer: weight * 3 for layer, weight in state.sums.items()}  # so that there is something to prune
    update = edit_round(lm, state, FACTS, recipe, session)
    assert update.seconds["guard"] == 2 * len(recipe.layers)  # of the change, and of what corrects it
    assert update.seconds[SETUP] == len(recipe.layers)  # of W0, for σ_max


LANES: list[dict[str, Any]] = [
    {"method": "memit", "prior": "lowrank"}, {"method": "emmet", "prior": "lowrank"}, {"method": "memit"},
    {"method": "alphaedit"}, {"method": "memit", "guards": [{"name": "revive", "tau": 0.3}]},
]  # fmt: skip
OF_ALL = {"layers": [1, 2], "steps": 2, "contexts": 1, "context_length": 4}
MORE = {"memit": {"lambda": 1.0, "ridge": 0.01}, "emmet": {"lambda": 1.0, "ridge": 0.01},
        "alphaedit": {"threshold": 100.0, "relative": True, "beta": 0.1}}  # fmt: skip


def costs(lm, clock, lanes: list[Recipe]) -> dict[str, tuple[float, float]]:
    """What each lane's first round is charged, and the set-up in it."""
    session, found = session_with(lm, clock), {}
    for recipe in lanes:
        seconds = edit_round(lm, LaneState.base(lm, recipe.layers), FACTS, recipe, session).seconds
        found[recipe.label] = charged({**seconds, "total": sum(seconds.values())}), seconds.get(SETUP, 0.0)
    return found


def test_the_order_of_lanes_changes_who_makes_what_is_shared_and_no_lanes_cost(lm, clock):
    recipes = [recipe_from_dict({**OF_ALL, **MORE[lane["method"]], **lane}, model_info(lm)) for lane in LANES]
    there, back = costs(lm, clock, recipes), costs(lm, clock, recipes[::-1])
    assert {name: cost for name, (cost, _) in there.items()} == {name: cost for name, (cost, _) in back.items()}
    assert sum(setup for _, setup in there.values()) == sum(setup for _, setup in back.values()) > 0
    assert there["MEMIT-F"][1] > back["MEMIT-F"][1]  # whoever comes first makes it
