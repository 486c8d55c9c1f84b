"""A guarded lane is measured by what its guard protects; a guarantee that cannot hold is told, its leak is measured."""

import pytest
import torch

from core.editing.linalg.dominance import Dominance
from core.runs.engine.laboratory import Laboratory
from core.runs.spec.run_spec import RunSpec
from tests.runs.conftest import LANE
from tests.runs.performed import performed

COUNT = {"name": "revive", "tau": 0.3, "by": "count"}
REVIVE = {"name": "revive", "tau": 0.3}


@pytest.fixture(scope="module")
def events(make_spec, tmp_path_factory):
    lanes = [
        {**LANE, "name": "count", "guards": [COUNT]},
        {**LANE, "name": "energy", "guards": [REVIVE]},
        {**LANE, "name": "undone", "guards": [REVIVE, {"name": "rect"}]},
        {**LANE, "name": "right", "guards": [{"name": "rect"}, REVIVE]},
    ]
    laboratory = Laboratory(tmp_path_factory.mktemp("statistics"))
    spec = make_spec(lanes=lanes, round_size=3)
    laboratory.model(RunSpec.from_dict(spec))
    return performed(laboratory, spec, tmp_path_factory.mktemp("guarded")), laboratory


def layers(events, lane, number):
    found = next(e for e in events if e["kind"] == "measured" and (e["lane"], e["round"]) == (lane, number))
    return {row["layer"]: row for row in found["layers"]}


def test_one_k_everywhere(events, make_spec):
    events, laboratory = events
    lm, started = laboratory.model(RunSpec.from_dict(make_spec())), events[0]
    for layer in (1, 2):
        sigma = torch.linalg.svdvals(lm.original(layer).double())
        own = {by: Dominance(0.3, by).rank(sigma) for by in ("count", "energy")}
        assert own["count"] == round(0.3 * len(sigma)) != own["energy"]
        for lane, k in own.items():
            assert started["lane_k"][lane][str(layer)] == k
            assert layers(events, lane, 0)[layer]["k"] == layers(events, lane, 0)[layer]["dominant_rank"] == k
            assert all(layers(events, lane, number)[layer]["k"] == k for number in (1, 2))


def test_the_guarantees_figure_is_zero_on_both_sides_where_it_holds(events):
    for lane in ("count", "energy", "right"):
        for row in layers(events[0], lane, 2).values():
            assert row["change"] > 1e-3
            assert max(row["drift_right"], row["drift_left"]) < 1e-6


def test_rect_after_revive_is_told_before_the_first_edit_and_its_leak_is_measured(events):
    events, _ = events
    kinds = [event["kind"] for event in events]
    told = [event for event in events if event["kind"] == "warned" and "guarantee does not hold" in event["message"]]
    assert [(event["lane"], event["level"]) for event in told] == [("undone", "warn")]
    assert events.index(told[0]) < kinds.index("edited")
    for row in layers(events, "undone", 2).values():
        assert min(row["drift_right"], row["drift_left"]) > 1e-4
