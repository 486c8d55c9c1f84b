"""The frontier: its rows, families and sweeps; the ruler and the sweep's form in a browser."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from core.editing.recipe import recipe_from_dict
from core.errors import UserError
from core.panels.frontier import PANEL, changed, families, fields
from core.runs.spec.run_spec import RunSpec
from core.runs.store.additions import extended
from lab_app.features.frontier import MOST, Desk, swept
from lab_app.frontend import address
from lab_app.lab import Lab
from tests.lab_app.apart import VISITOR, run_apart
from tests.lab_app.looking import DONE, drawn
from tests.lab_app.modules import call
from tests.lab_app.synthetic import LANES, measured, record
from tests.lab_app.worker import ScriptedWorker

PLOT = "document.querySelector('#lab-panel-frontier .plot')"
REVIVE = {"method": "memit", "guards": [{"name": "revive", "tau": 0.1}], "lambda": 15.0, "steps": 25}


def lanes(*recipes):
    return {"lanes": [{"label": f"lane {i}", "recipe": recipe} for i, recipe in enumerate(recipes)]}


def with_tau(tau):
    return changed(REVIVE, "guards.0.tau", tau)


def begun(*recipes):
    """What the panel's controls are told of a run of these lanes."""
    return PANEL.start(lanes(*recipes)).as_dict()


def test_a_row_is_a_few_numbers():
    event = measured(LANES[0], 4, 10, 50).as_dict()
    row = PANEL.row(event)
    names = ("efficacy_exact", "unedited_recall", "task_mean", "neighborhood_exact")
    shares = {name: pytest.approx(event["scores"][name], rel=1e-3) for name in names}
    assert row == {"lane": LANES[0], "round": 4, "blocks": [{"table": "frontier", "edits": 200} | shares]}
    assert len(json.dumps(row)) < 200


def test_the_numbers_that_a_lane_is_set_by():
    found = [(key, name, value) for key, name, _, value in fields(REVIVE | {"layers": [1, 2], "clamp": None})]
    assert found == [("guards.0.tau", "τ of REVIVE", 0.1), ("steps", "steps", 25), ("lambda", "λ lambda", 15.0)]
    told = begun(REVIVE, {"method": "memit", "guards": [{"name": "random", "tau": 0.1}]})
    assert told["blocks"] == [{"table": "controls", "lane": ["lane 1"], "control": ["random"]}]
    assert told["whole"] == ["steps"]
    assert told["dials"]["lane 0"] == {"guards.0.tau": 0.1, "lambda": 15.0, "steps": 25}


def test_a_prior_and_a_wrapper_have_numbers_too():
    whole = {"method": "memit", "prior": {"name": "lowrank"}, "wrapper": {"name": "simie", "lambda": 2.0}}
    resolved = recipe_from_dict(whole).as_dict()
    told = begun(resolved, {"method": "memit", "prior": "full"})
    assert told["dials"]["lane 0"].items() >= {"prior.gamma": 0.99, "wrapper.lambda": 2.0}.items()
    assert told["called"]["prior.gamma"] == "γ of low-rank plus diagonal"
    assert told["limits"]["prior.gamma"] == [0, 1]
    assert not any(key.startswith(("prior.", "wrapper.")) for key in told["dials"]["lane 1"])
    spec = RunSpec.from_dict({"facts": {"source": "pocket", "count": 4}, "lanes": [whole | {"prior": "lowrank"}]})
    label = spec.labels()[0]
    made = swept(spec.as_dict(), {"lane": label, "field": "prior.gamma", "values": [0.9, 0.8]})
    assert [lane["prior"] for lane in made] == [{"name": "lowrank", "gamma": 0.9}, {"name": "lowrank", "gamma": 0.8}]
    assert len(extended(spec.as_dict(), made).lanes) == 3
    for wrong in ("prior.", "prior.name", "wrapper"):
        with pytest.raises(UserError, match="number"):
            swept(spec.as_dict(), {"lane": label, "field": wrong, "values": [0.9]})


def test_families_differ_in_one_number_alone():
    told = begun(
        with_tau(0.3), with_tau(0.1), with_tau(0.2), REVIVE | {"lambda": 30.0}, with_tau(0.1) | {"lambda": 60.0}
    )
    taus = {"family": "τ of REVIVE", "lane": ["lane 1", "lane 2", "lane 0"], "value": [0.1, 0.2, 0.3]}
    lambdas = {"family": "λ lambda", "lane": ["lane 1", "lane 3", "lane 4"], "value": [15.0, 30.0, 60.0]}
    assert told["blocks"] == [{"table": "families"} | taus, {"table": "families"} | lambdas]
    branched = {
        f"{tau}": {"recipe": with_tau(tau), "from": {"lane": "a", "round": i}} for i, tau in enumerate((1, 2, 3))
    }
    dials = {label: {"guards.0.tau": lane["recipe"]["guards"][0]["tau"]} for label, lane in branched.items()}
    assert families(branched, dials, {"guards.0.tau": "τ"}) == []  # they begin at different rounds
    many = begun(*[with_tau(i / 100) for i in range(24)])
    assert len(json.dumps(many)) < 6000


def spec(*lanes):
    return RunSpec.from_dict({"facts": {"source": "pocket", "count": 6}, "lanes": list(lanes)}).as_dict()


def test_a_sweep_is_the_same_lane_at_other_values():
    run = spec({"method": "memit", "name": "plain"}, with_tau(0.1) | {"name": "guarded"})
    asked = {"lane": "guarded", "field": "guards.0.tau", "values": [0.05, 0.1, 0.2, 0.2]}
    made = swept(run, asked)
    assert [lane["guards"][0]["tau"] for lane in made] == [0.05, 0.2]  # one is there already
    assert all("name" not in lane and lane["lambda"] == 15.0 for lane in made)
    assert extended(run, made).labels()[2:] == ["MEMIT λ=15.0 + REVIVE τ=0.05", "MEMIT λ=15.0 + REVIVE τ=0.2"]
    assert [lane["steps"] for lane in swept(run, {"lane": "plain", "field": "steps", "values": [5, 10]})] == [5, 10]
    refused = [
        ({"lane": "nobody"}, "no such lane"),
        ({"values": []}, f"1 to {MOST} numbers"),
        ({"values": [0.1] * (MOST + 1)}, f"1 to {MOST} numbers"),
        ({"values": [True]}, "numbers"),
        ({"values": [float("nan")]}, "numbers"),
        ({"field": "method"}, "choose the number"),
        ({"field": "guards.1.tau"}, "choose the number"),
        ({"field": "guards.0.name"}, "choose the number"),
        ({"field": None}, "choose the number"),
        ({"values": [0.1]}, "has all these lanes"),
    ]
    for change, message in refused:
        with pytest.raises(UserError, match=message):
            swept(run, asked | change)


def test_what_is_wrong_with_a_sweep_is_told(tmp_path):
    lab = Lab(tmp_path, worker=False)
    run = lab.store.create_run(spec({"method": "memit", "name": "plain"}))
    desk = Desk(lab)

    def told(**asked):
        return run_apart(desk.sweep(run, SimpleNamespace(_data={"lane": "plain", **asked}), VISITOR))["asked"]

    assert told(field="steps", values=[-5, -6]) == {
        "message": "Steps should be ≥ 1, not -5. Steps should be ≥ 1, not -6.",
        "wrong": True,
    }
    assert "did you mean" in told(field="stepz", values=[5])["message"]
    with ScriptedWorker(lab.store, pace=0):
        assert told(field="steps", values=[5, 10]) == {"added": 2, "message": ""}
    assert [lane.get("steps") for lane in lab.store.get(run).spec["lanes"]] == [None, 5, 10]


# -- on the page

CROSSING = """async ([module, level]) => {
    const ruler = await import(module);
    const way = [[0.9, 0.99], [0.7, 0.8], [0.7, 0.7], [0.8, 0.6]];
    return ruler.crossing(way.map(([x, y], i) => ({ x, y, round: i + 1, edits: 10 * (i + 1) })), level);
}"""


def test_the_ruler_and_a_sweep(visit: Any, served: Any) -> None:
    run = record(served.store, rounds=6, lanes=(*LANES, "control"))
    page = visit(f"?run={run}")
    page.wait_for_selector(DONE)
    # between the last two rounds that enclose the level; there twice: the later; never: nothing
    found = {
        level: page.evaluate(CROSSING, [address("charts/ruler.js"), level]) for level in (0.75, 0.7, 0.85, 0.95, 0.8)
    }
    assert found[0.75] == pytest.approx({"x": 0.75, "y": 0.65, "round": 3.5, "edits": 35})
    assert found[0.7] == pytest.approx({"x": 0.7, "y": 0.7, "round": 3, "edits": 30})
    assert found[0.85] == pytest.approx({"x": 0.85, "y": 0.99 - 0.19 / 4, "round": 1.25, "edits": 12.5})
    assert found[0.8]["y"] == 0.6
    assert found[0.95] is None
    assert call(page, "charts/sweep.js", "values", 1, 100, 3, True, True) == [1, 10, 100]
    assert call(page, "charts/sweep.js", "values", 0.1, 0.3, 3, False, False) == [0.1, 0.2, 0.3]
    assert call(page, "charts/sweep.js", "values", 0, 100, 3, True, False) == []

    drawn(page, "frontier")
    ruler = page.locator("#lab-panel-frontier .ruler")
    ruler.focus()
    before = float(ruler.get_attribute("aria-valuenow"))
    page.keyboard.press("PageDown")
    page.wait_for_function(f"document.querySelector('#lab-panel-frontier .ruler').ariaValueNow < {before}")
    page.wait_for_function(f"{PLOT}.layout.shapes[0].x0 < {before / 100 - 0.04}")
    page.wait_for_timeout(500)  # a redraw must not take the focus away
    assert ruler.evaluate("grip => document.activeElement === grip")
    reading = page.locator("#lab-panel-frontier .readings tbody tr")
    assert reading.count() == 3
    assert "edits, round" in reading.nth(0).inner_text()
    box = ruler.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] - 60, box["y"] + 40, steps=4)
    page.mouse.up()
    assert ruler.bounding_box()["x"] < box["x"] - 40
    # the scrubber leads: the large point is that of the round looked at
    page.evaluate("r = document.querySelector('#lab-dock input'); r.value = 2; r.dispatchEvent(new Event('input'))")
    page.wait_for_function(f"{PLOT}.data[0].marker.size[1] > 10 && {PLOT}.data[0].marker.size[5] < 10")

    sweep = page.locator("#lab-panel-frontier .sweep")
    assert sweep.locator("select").nth(0).input_value() == LANES[1]
    sweep.locator("[aria-label='How many']").fill("3")
    assert "0.05, 0.175, 0.3" in sweep.locator(".values").inner_text()
    sweep.locator("button").click()
    page.wait_for_selector("#lab-header .legend .lane >> text=τ=0.175")
    page.wait_for_function(f"{PLOT}.data.some((trace) => trace.line.dash === 'dot')")  # the family of τ
    page.wait_for_selector("#lab-panel-frontier .readings .family >> text=over τ of REVIVE")
    assert len(served.store.get(run).spec["lanes"]) == 6
