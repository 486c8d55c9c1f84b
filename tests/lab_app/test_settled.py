"""What the lanes of the form come to before they run, as a browser asks for it."""

from typing import Any

import pytest

from core.editing.settings.defaults import POCKET
from lab_app.form import experiment
from lab_app.form.settled import settled

MEMIT, LOW = {"method": "memit"}, {"method": "memit", "prior": "lowrank"}
REVIVE = {"method": "memit", "guard": "revive", "tau": 0.1}
GPT_J = "EleutherAI/gpt-j-6b"


def test_defaults_hold_with_the_prior_and_the_model():
    first, second = settled([MEMIT, LOW], "pocket", "")["lanes"]
    assert first == {"options": {}, "idle": {}}  # as the catalogue has it
    assert second["options"]["history"][0] == "true"
    assert "FastEdit" in second["options"]["history"][1]
    assert "ridge" not in second["options"]  # the model's own, with either prior
    assert POCKET["ridge"].value == 10.0
    (emmet,) = settled([LOW | {"method": "emmet"}], GPT_J, "zsre")["lanes"]
    assert emmet["options"]["layers"][0] == "3, 4, 5, 6, 7, 8"
    assert emmet["options"]["lambda"][0] == "15000.0"
    assert emmet["prior_options"]["rank"][0] == "3326"
    assert settled([LOW], GPT_J, "counterfact")["lanes"][0]["prior_options"]["rank"][0] == "5911"
    assert settled([LOW], GPT_J, "")["lanes"][0]["prior_options"]["rank"][0] == "5911"
    assert "prior_options" not in settled([MEMIT], GPT_J, "")["lanes"][0]


def test_fields_without_effect_are_named():
    (lane,) = settled([{"method": "alphaedit", "prior": "lowrank", "prior_options": {"rank": "9"}}], "pocket", "")[
        "lanes"
    ]
    assert {"threshold", "relative", "lowrank energy"} <= lane["idle"].keys()
    (lane,) = settled([MEMIT | {"wrapper": "simie"}], "pocket", "")["lanes"]
    assert "history" in lane["idle"]
    assert lane["wrapper_options"]["lambda"][0] == "0.01"


def test_what_is_to_be_said_stands_at_its_lane():
    notes = settled([MEMIT, LOW, REVIVE | {"then": [{"name": "rect", "keep": "0.3"}]}], "pocket", "")["notes"]
    assert [note["lane"] for note in notes] == [1, 2]
    assert "more than its prior" in notes[0]["message"]
    assert "REVIVE’s guarantee does not hold" in notes[1]["message"]
    inert = {"method": "alphaedit", "options": {"beta": "10"}}
    notes = settled([MEMIT, {"method": "mose"}, inert, {"method": "alphaedit"}], "pocket", "")["notes"]
    known = [(note["lane"], note["message"]) for note in notes if "embedded model" in note["message"]]
    assert [lane for lane, _ in known] == [1, 2]
    assert "python -m tests.bench.mose" in known[0][1]
    assert "β = 10 edits little or nothing" in known[1][1]


@pytest.mark.parametrize(
    "form",
    [None, "x", 3, [None], ["x"], [{}], [{"method": "nothing"}], [{"method": "memit", "prior": "x"}],
     [{"method": "memit", "options": {"steps": "many"}}], [{"method": "memit", "guard": "revive", "tau": 7}],
     [{"method": "memit", "then": [3, {"name": "x"}, {}]}], [{"method": "memit", "guard": "shrink"}],
     [{"method": "memit", "prior_options": 3, "prior": "lowrank", "then": "x"}], [MEMIT] * 99],
)  # fmt: skip
def test_what_a_browser_sends_is_not_believed(form):
    found = settled(form, "no/such-model", "nothing")
    assert len(found["lanes"]) <= 24
    assert found["notes"] == []


def test_the_form_and_the_spec_say_the_same_of_priors_wrappers_and_guards_that_follow():
    chosen = {
        **{"method": "memit", "guard": "revive", "tau": 0.2, "name": "", "prior": "lowrank", "wrapper": "simie"},
        **{"prior_options": {"energy": "0.6"}, "wrapper_options": {"lambda": "3.0"}},
        "then": [{"name": "rect", "keep": "0.3", "when": "within"}, {"name": "prune", "alpha": "2.718281828459045"}],
    }
    spec = experiment.lane(chosen)
    assert spec["prior"] == {"name": "lowrank", "energy": 0.6}
    assert spec["wrapper"] == {"name": "simie", "lambda": 3.0}
    assert spec["guards"] == [
        {"name": "revive", "tau": 0.2},
        {"name": "rect", "keep": 0.3, "when": "within"},
        {"name": "prune", "alpha": 2.718281828459045},
    ]
    assert experiment.shown(spec) == chosen
    assert experiment.lane({"method": "memit", "then": [{"name": "rect"}]})["guards"] == [{"name": "rect"}]


def test_prunes_bases_in_use_are_offered():
    prune = next(guard for guard in experiment.catalogue()["guards"] if guard["name"] == "prune")
    alpha = next(entry for entry in prune["fields"] if entry["name"] == "alpha")
    assert [value for value, _ in alpha["offers"]] == ["1.2", "2.718281828459045"]


def test_the_card_says_what_holds_before_the_lane_runs(visit: Any) -> None:
    page = visit()
    card = page.locator("#lab-lanes .lane-card >> nth=1")
    card.locator("details.more summary").click()
    card.locator("[aria-label='by']").select_option("count")
    page.wait_for_selector("#lab-lanes .lane-card .k >> text=this share of the singular directions")
    card.locator("[aria-label='A guard after that of lane 2']").select_option("rect")
    page.wait_for_selector("#lab-lanes .lane-card >> nth=1 >> .beware >> text=guarantee does not hold")
    card.locator("[aria-label='statistics of lane 2']").select_option("lowrank")
    page.wait_for_selector(
        "#lab-lanes .lane-card >> nth=1 >> [aria-label=history] >> text=true (standard)", state="attached"
    )
    assert card.locator("[aria-label=energy]").get_attribute("placeholder") == "0.8"
    card.locator("[aria-label=rank]").fill("7")
    page.wait_for_selector("#lab-lanes .lane-card >> nth=1 >> label.idle >> [aria-label=energy]")
    assert card.locator("[aria-label=rank]").input_value() == "7"  # nothing was taken from under the keys
