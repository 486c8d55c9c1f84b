"""A run goes on as it began, whatever defaults have become since."""

import json

import pytest

from core.editing.recipe import recipe_from_dict
from core.runs.engine.laboratory import Laboratory
from core.runs.spec.recorded import as_asked, as_begun, recorded_recipe
from core.runs.store.record import Record
from tests.runs.conftest import LANE
from tests.runs.performed import performed

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    return Laboratory(tmp_path_factory.mktemp("statistics"))


def hashes(events):
    return {(event["lane"], event["round"]): event["hash"] for event in events if event["kind"] == "edited"}


def test_a_recipe_recorded_without_a_field_means_what_was_done_then():
    old = recipe_from_dict({"method": "memit", "layers": [1], "guards": [{"name": "rect"}]}).as_dict()
    assert old["guards"][0]["when"] == "after"
    del old["guards"][0]["when"]
    assert recorded_recipe(old)["guards"] == [{**old["guards"][0], "when": "within"}]
    assert recorded_recipe({**old, "guards": [{"name": "rect", "when": "after"}]})["guards"][0]["when"] == "after"


def test_lanes_that_a_run_has_not_begun_with_are_taken_as_asked():
    started = {"lanes": [{"label": "a", "recipe": recipe_from_dict({"method": "memit", "name": "a"}).as_dict()}]}
    lanes = [{"method": "memit", "name": "a", "without": [3]}, {"method": "rome", "name": "b"}]
    first, second = as_begun(lanes, started)
    assert (first["lambda"], first["without"], second) == (15000.0, [3], lanes[1])
    assert as_begun(lanes, None) == lanes


def test_a_recorded_run_is_asked_for_anew_as_it_was_done():
    recipe = recipe_from_dict({"method": "memit", "layers": [1], "guards": [{"name": "rect"}], "name": "a"}).as_dict()
    now = json.loads(json.dumps(recipe))
    del recipe["guards"][0]["when"]
    lanes = [
        {"method": "memit", "name": "a", "guards": [{"name": "rect", "keep": 0.2}]},
        {"method": "rome", "name": "b"},
    ]
    first, second = as_asked(lanes, [recipe])
    assert first["guards"] == [{"name": "rect", "keep": 0.2, "when": "within"}]
    assert second == lanes[1]
    assert as_asked(lanes, [now]) == as_asked(lanes, []) == as_asked(lanes, [None, 3, {"name": "a"}]) == lanes
    other = [{**lanes[0], "guards": [{"name": "revive"}]}]
    assert as_asked(other, [recipe]) == other


def test_a_stored_run_from_before_rects_order_goes_on_in_the_order_it_had(make_spec, laboratory, tmp_path):
    """Its spec and its first event say nothing of `when`: it is resumed bit for bit as it was begun."""
    rect = {"name": "rect", "keep": 0.3}
    within = make_spec(lanes=[{**LANE, "name": "sparse", "guards": [{**rect, "when": "within"}]}], round_size=3)
    whole = performed(laboratory, within, tmp_path / "whole")
    stopped = performed(laboratory, within, tmp_path / "old", stop_after=4)
    assert 0 < len(hashes(stopped)) < len(hashes(whole))
    del stopped[0]["lanes"][0]["recipe"]["guards"][0]["when"]
    old = make_spec(lanes=[{**LANE, "name": "sparse", "guards": [rect]}], round_size=3)
    events = performed(laboratory, old, tmp_path / "old", committed=stopped)
    assert hashes(events) == hashes(whole)
    assert Record.read(tmp_path / "old").recipe("sparse")["guards"][0]["when"] == "within"
    anew = performed(laboratory, old, tmp_path / "anew")
    assert hashes(anew) != hashes(whole)
    resolved = {"lanes": [event["recipe"] for event in stopped[0]["lanes"]]}  # as its spec.json has it
    again = performed(laboratory, {**old, "resolved": resolved}, tmp_path / "again")
    assert hashes(again) == hashes(whole)
