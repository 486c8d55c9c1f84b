"""The panel of energies: which directions of W₀ it shades."""

import pytest

from core.editing.guards.revive import Revive
from core.editing.linalg.dominance import Dominance, of_recorded
from core.editing.settings.parameters import values
from core.panels.energy import start


def shaded(guards: list[dict], **known: dict) -> list:
    event = {"lanes": [{"label": "a", "recipe": {"guards": guards}}], **known}
    (block,) = start(event).blocks
    return block.get("k", [])


def test_a_lane_is_shaded_at_its_own_tau():
    guard = {"name": "revive", "tau": 0.2, "by": "count"}
    assert shaded([guard], lane_k={"a": {"4": 26}}, tau_k={"0.2": {"4": 13}}) == [26]


def test_older_runs_know_k_by_energy_alone():
    known = {"tau_k": {"0.2": {"4": 13}, "0.1": {"4": 5}}}
    assert shaded([{"name": "revive", "tau": 0.2}], **known) == [13]
    assert shaded([{"name": "rect", "keep": 0.4}], **known) == [5]
    assert shaded([{"name": "revive", "tau": 0.2, "by": "count"}], **known) == []


@pytest.mark.parametrize("guard", [Revive(), Revive(tau=0.3, by="count")])
def test_a_recorded_guard_has_the_tau_that_it_acts_at(guard):
    recorded = {"guards": [{"name": "shrink", "factor": 0.5}, {"name": "revive", **values(guard)}]}
    assert of_recorded(recorded) == guard.dominance


def test_without_a_guard_there_is_no_tau():
    assert of_recorded({}) is None
    assert Dominance() == Revive().dominance
