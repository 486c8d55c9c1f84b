"""What is said of lanes before they run."""

import pytest

from core.editing.settings.defaults import ModelInfo
from core.runs.spec.lane_notes import lane_notes
from core.runs.spec.lanes import labelled, recipe_of_lane

POCKET = ModelInfo("pocket", "llama", 8, 256, 12000)
GPT_J = ModelInfo("EleutherAI/gpt-j-6b", "gptj", 28, 4096, 50400)
REVIVE, RECT, PRUNE = {"name": "revive", "tau": 0.1}, {"name": "rect"}, {"name": "prune"}


def said(*lanes: dict, model: ModelInfo = POCKET) -> list[tuple[str, str]]:
    named = labelled(lanes)
    return list(lane_notes(named, {lane["name"]: recipe_of_lane(lane, model) for lane in named}))


@pytest.mark.parametrize(
    "guards, broken",
    [
        ([REVIVE, RECT], ["REVIVE"]),
        ([REVIVE, {"name": "random"}], ["REVIVE"]),
        ([{"name": "random"}, REVIVE], ["random"]),
        ([REVIVE, PRUNE, RECT], ["REVIVE"]),
        ([REVIVE, {"name": "sphere"}], ["REVIVE"]),
        ([RECT, REVIVE], []),
        ([REVIVE, PRUNE], []),
        ([REVIVE, {"name": "shrink", "factor": 0.5}], []),
        ([REVIVE, {"name": "revive", "tau": 0.3}], []),
        ([REVIVE, {"name": "revive", "tau": 0.3, "basis": "current"}], ["REVIVE"]),
        ([PRUNE, RECT], []),
    ],
)
def test_a_guard_that_undoes_what_another_keeps_is_told(guards, broken):
    found = said({"method": "memit", "guards": guards, "name": "mine"})
    assert [(label, message.partition("’")[0]) for label, message in found] == [("mine", name) for name in broken]


def test_in_a_guard_aware_lane_projections_do_not_undo_each_other_but_rect_does():
    aware = {"method": "memit", "guard_aware": True}
    assert not said(aware | {"guards": [REVIVE, {"name": "random"}]})
    assert said(aware | {"guards": [REVIVE, RECT]})


def test_lanes_that_differ_in_one_thing_and_what_it_implies():
    (found,) = said({"method": "memit"}, {"method": "memit", "prior": "lowrank"})
    assert found[0] == "MEMIT-F"
    assert "Differs from MEMIT in more than its prior: history true against false" in found[1]
    (found,) = said({"method": "emmet"}, {"method": "emmet", "prior": "lowrank"}, model=GPT_J)
    assert "layers 3, 4, 5, 6, 7, 8 against 5" in found[1]
    (found,) = said({"method": "memit"}, {"method": "emmet"}, model=GPT_J)
    assert "in more than its method: layers 5 against 3, 4, 5, 6, 7, 8" in found[1]


@pytest.mark.parametrize(
    "lanes",
    [
        [{"method": "memit"}, {"method": "memit", "guards": [REVIVE]}],
        [{"method": "memit", "history": True}, {"method": "memit", "prior": "lowrank"}],
        [{"method": "memit", "history": False}, {"method": "memit", "prior": "lowrank"}],  # a person sees that one
        [{"method": "memit"}, {"method": "memit", "lambda": 5}],
        [{"method": "memit"}, {"method": "memit", "prior": "lowrank", "guards": [REVIVE]}],  # two things
        [{"method": "memit"}, {"method": "memit", "wrapper": "simie"}],
        [{"method": "memit"}, {"method": "memit", "history": True}, {"method": "memit", "prior": "lowrank"}],
    ],
)
def test_fair_comparisons_are_left_alone(lanes):
    assert not said(*lanes)


def test_fields_without_effect_are_no_difference():
    """AlphaEdit-F's threshold does nothing: U's directions are what is protected."""
    lanes = {"method": "alphaedit"}, {"method": "alphaedit", "prior": "lowrank", "name": "F"}
    recipe = recipe_of_lane(lanes[1], POCKET)
    assert {"threshold", "relative"} <= recipe.idle.keys()
    assert not said(*lanes)
    assert "lambda" in recipe_of_lane({"method": "emmet"}, GPT_J).idle
    assert "lambda" not in recipe_of_lane({"method": "emmet", "rho": 0.1}, GPT_J).idle


def test_what_is_known_of_a_method_on_the_model():
    ((label, mose),) = said({"method": "mose"})
    assert label == "MOSE"
    assert "efficacy falls with the size of a round" in mose
    ((_, alphaedit),) = said({"method": "alphaedit", "beta": 10})
    assert "β = 10 edits little or nothing" in alphaedit
    assert not said({"method": "mose"}, model=GPT_J)
    assert not said({"method": "alphaedit", "beta": 10}, model=GPT_J)
