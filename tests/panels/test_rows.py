"""How events become the rows of panels: what is sent, in what unit, and what is left out."""

import pytest

from core.charts.table import thinned
from core.panels import get
from core.panels.maps import MOST, drawn
from tests.lab_app.synthetic import LANES, LAYERS, mapped, measured, started

EVENT = measured(LANES[0], 4, 10, 50).as_dict()
BEGUN = started(10, 500).as_dict()


def blocks(key, table, event=EVENT):
    return [block for block in get(key).rows(event) if block["table"] == table]


def columns(key, event):
    (found,) = get(key).start(event).columns.values()
    return {column.name: (column.title, column.unit, column.note) for column in found}


def test_scores_carry_what_was_measured_and_nothing_else():
    event = {"lane": "a", "round": 2, "scores": {"edits": 20, "efficacy": 0.123456, "paraphrase": None}}
    assert get("scores").row(event) == {
        "lane": "a",
        "round": 2,
        "blocks": [{"table": "scores", "edits": 20, "efficacy": 0.1235}],
    }
    (block,) = get("scores").rows(EVENT | {"intervals": {"efficacy": [0.1, 0.2], "other": [0, 1]}})
    assert {name: value for name, value in block.items() if name.endswith(("_low", "_high"))} == {
        "efficacy_low": 0.1,
        "efficacy_high": 0.2,
    }


def test_tasks_are_told_apart_from_their_mean():
    event = {"lane": "a", "round": 2, "scores": {"edits": 9, "task_mean": 0.5, "task_x": 0.25, "efficacy": 1.0}}
    assert get("tasks").rows(event) == [{"table": "tasks", "edits": 9, "task_mean": 0.5, "task_x": 0.25}]


def test_tasks_are_drawn_in_their_own_units():
    """A correlation is no share: it is not among those that the mean is over, and the chart gives it its own axis."""
    tasks = {
        "sst2": {"chance": 0.5, "in_mean": True, "called": "accuracy"},
        "cola": {"chance": None, "in_mean": False, "called": "Matthews correlation, −1 to 1"},
    }
    assert columns("tasks", BEGUN | {"tasks": tasks}) == {
        "task_mean": ("mean", "share", "accuracy, mean of 1 tasks"),
        "task_sst2": ("sst2", "share", "accuracy"),
        "task_cola": ("cola", "correlation", "Matthews correlation, −1 to 1"),
    }
    older = {name: {"chance": 0.5} for name in ("a", "b")}
    assert {unit for _, unit, _ in columns("tasks", BEGUN | {"tasks": older}).values()} == {"share"}


def test_guessing_of_the_mean_is_that_of_the_tasks_that_count_in_it():
    chances = {"task_sentiment": 0.25, "task_entailment": 0.375, "task_arithmetic": 0.5}
    (block,) = get("tasks").start(BEGUN).blocks
    assert block == {"table": "tasks", "reference": "guessing", "task_mean": 0.375} | chances
    cola = {"chance": None, "in_mean": False, "metric": "mcc"}
    event = BEGUN | {"tasks": BEGUN["tasks"] | {"cola": cola}}
    assert get("tasks").start(event).blocks[0] == block
    event["tasks"]["cola"] = cola | {"in_mean": True}
    assert "task_mean" not in get("tasks").start(event).blocks[0]  # of one that counts it is not known


def test_curves_keep_their_ends():
    spectra = blocks("energy", "spectra")
    assert [found["layer"] for found in spectra] == list(LAYERS)
    for found, full in zip(spectra, EVENT["spectra"], strict=True):
        assert (found["i"][0], found["i"][-1]) == (1, 256)
        assert found["sigma"][0] == pytest.approx(full["sigma"][0], rel=1e-3)
    assert blocks("energy", "now")[0]["k"] == [full["k"] for full in EVENT["spectra"]]
    drift = blocks("drift", "drift")[0]
    assert (drift["k"][0], drift["k"][-1]) == (1, 256)
    assert len(drift["k"]) == len(drift["rk"]) <= 42
    assert len(thinned(5_000)) <= 42


def dominant(event):
    return {
        block["lane"]: (block["tau"], dict(zip(block.get("layer", ()), block.get("k", ()), strict=True)))
        for block in get("energy").start(event).blocks
        if block["table"] == "dominant"
    }


def test_k_of_the_unedited_matrix_is_each_lanes_own():
    event = started(10, 500).as_dict()
    event["lanes"][1]["recipe"]["guards"] = [{"name": "shrink", "factor": 0.5}, {"name": "revive", "tau": 0.2}]
    known = {tau: {int(layer): k for layer, k in event["tau_k"][tau].items()} for tau in ("0.1", "0.2")}
    assert dominant(event) == {LANES[0]: ("τ = 0.1", known["0.1"]), LANES[1]: ("τ = 0.2", known["0.2"])}
    event["lanes"][1]["recipe"]["guards"] = [{"name": "revive", "tau": 0.2, "by": "count"}]
    counted = dominant(event | {"lane_k": {LANES[1]: {"1": 51}}})
    assert counted[LANES[1]] == ("τ = 0.2 of their number", {1: 51})
    assert dominant({**event, "tau_k": {}})[LANES[0]] == ("τ = 0.1", {})


def test_maps_are_thinned():
    found = drawn(mapped(0.5, points=1000))
    assert len(found["x"]) == len(found["y_before"]) == len(found["fact"]) <= MOST


def test_the_controls_of_r_k_are_sent_once_and_what_was_read_is_said():
    begun = get("drift").start(BEGUN)
    assert begun.protocol == "on 1,024 tokens of statements of 200 facts that no edit concerns"
    stored = [
        (name, control["layer"], control[field])
        for control in BEGUN["controls"]
        for field, name in (("null", "null edit"), ("resampled", "other inputs, no edit"))
    ]
    for block, (name, layer, values) in zip(begun.blocks, stored, strict=True):
        assert (block["reference"], block["layer"]) == (name, layer)
        assert (block["k"][0], block["k"][-1]) == (1, 256)
        assert block["rk"] == [pytest.approx(values[k - 1], rel=1e-3) for k in block["k"]]
    lacking = {"drift": "R_k was left out: few tokens."}
    told = get("drift").start(BEGUN | {"reads": {}, "controls": [], "lacking": lacking}).as_dict()
    assert told == {"lacking": "R_k was left out: few tokens."}
    older = {name: value for name, value in BEGUN.items() if name not in ("reads", "controls", "lacking", "tasks")}
    assert get("drift").start(older).as_dict() == {}
    assert not get("tasks").start(older).blocks


def test_no_peak_of_ss_is_lost():
    found = blocks("directions", "directions")
    nearest = blocks("directions", "nearest")[0]
    for full in EVENT["similarity"]:
        own = [block for block in found if block["layer"] == full["layer"]]
        best = next(block for block in own if block["curve"] == "best")
        for side in ("right", "left"):
            first = next(block for block in own if block["curve"] == "first" and f"ss_{side}" in block)
            drawn_ = dict(zip(first["j"], first[f"ss_{side}"], strict=True))
            stored = dict(zip(full[f"index_{side}"], full[f"ss_{side}_first"], strict=True))
            assert len(drawn_) <= 18
            assert {1, 40} <= set(drawn_)
            for j, value in drawn_.items():
                assert value == pytest.approx(stored[j - 1], abs=5e-4)
            most = [full[f"ss_{side}_max"][i - 1] for i in best["i"]]
            assert best[f"ss_{side}"] == pytest.approx(most, abs=5e-4)
            peak = max(stored, key=stored.get) + 1
            assert nearest[f"nearest_{side}"][nearest["layer"].index(full["layer"])] == peak
