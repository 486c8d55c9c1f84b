"""Edits without effect are found and named with their cause; ordinary ones are not."""

import pytest

from core.editing.lane.state import LaneState
from core.editing.recipe import recipe_from_dict
from core.editing.rounds.edit_round import edit_round
from core.editing.rounds.effect import LITTLE_CHANGE, NO_CHANGE, NO_VALUES, NOT_GUARDED, not_guarded, silent
from tests.editing.common import FACTS, SETTINGS

BASE = {**SETTINGS, "lr": 0.2}


@pytest.fixture
def found(lm, session):
    """What is said of a round of a toy model under a lane of these settings, or MEMIT's."""

    def find(only=None, **changes):
        recipe = recipe_from_dict({**(only or BASE), **changes})
        state = LaneState.base(lm, recipe.layers)
        return silent(recipe, edit_round(lm, state, FACTS, recipe, session), state.sums)

    return find


def test_an_ordinary_edit_says_nothing(found):
    assert found() == {}
    assert found(guards=[{"name": "revive", "tau": 0.2}]) == {}


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"guards": [{"name": "shrink", "factor": 0.0}]}, NO_CHANGE, "shrink (factor 0) leaves nothing"),
        ({"guards": [{"name": "revive", "tau": 0.9999}]}, NO_CHANGE, "REVIVE (tau 0.9999) leaves"),
        ({"lambda": 1e12}, NO_CHANGE, "lower lambda (1e+12), or lower ridge (0.01)"),
        ({"clamp": 1e-30}, NO_CHANGE, "the values hardly move, since lr (0.2) or clamp (1e-30) is too small"),
        ({"lr": 1e-30}, NO_CHANGE, "lr (1e-30)"),
        ({"stop_loss": 1e6}, NO_CHANGE, "below stop_loss (1e+06) before the first step"),
        (
            {"lambda": 1e4},
            LITTLE_CHANGE,
            "5% is there after the edit: what is kept of the weights outweighs the new values; lower lambda (10000)",
        ),
        ({"guards": [{"name": "shrink", "factor": 0.05}]}, LITTLE_CHANGE, "shrink (factor 0.05) takes 99.75% of ‖ΔW‖²"),
        ({"guards": [{"name": "shrink", "factor": 0.01}]}, NO_CHANGE, "shrink (factor 0.01) leaves 0.0001 of ‖ΔW‖²"),
        (
            {"lr": 1e6, "clamp": 1e6},
            NO_VALUES,
            "their loss is 60.9, and was 7.05 before the first step. lr (1e+06) is too large",
        ),
        ({"guards": [{"name": "shrink", "factor": 1.0}]}, NOT_GUARDED, "shrink (factor 1) takes nothing"),
        ({"guards": [{"name": "rect", "keep": 1.0}]}, NOT_GUARDED, "RECT (keep 1) takes nothing"),
    ],
)
def test_an_edit_without_effect_is_named_with_its_cause(found, changes, kind, words):
    said = found(**changes)
    assert kind in said, said
    assert words in said[kind]


def test_fine_tuning_that_trains_nothing(found):
    ft = {"method": "ft_l", "layers": [1], "steps": 3}
    assert "raise lr (1e-30)" in found(ft, lr=1e-30)[NO_CHANGE]
    assert "or bound (1e-30)" in found(ft, bound=1e-30)[NO_CHANGE]
    assert "below stop_loss (1e+06)" in found(ft, stop_loss=1e6)[NO_CHANGE]
    assert found(ft, lr=0.01) == {}


def test_a_wrapper_that_leaves_nothing_is_named(found):
    said = found(wrapper={"name": "simie", "lambda": 1e12})
    assert "lower lambda of SimIE (1e+12)" in said.get(NO_CHANGE, ""), said


def test_a_guard_that_never_acted_is_named_by_what_it_is_set_by():
    recipe = recipe_from_dict({**BASE, "guards": [{"name": "prune", "alpha": 1.5}]})
    assert not_guarded(recipe).startswith("PRUNE (alpha 1.5) takes nothing")
