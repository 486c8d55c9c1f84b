import json

import pytest

from core.charts.formula import formula, frac
from lab_app.panels import PANELS
from lab_app.panels.maps import MOST, drawn
from lab_app.panels.panel import picked, short, thinned
from lab_app.widgets import frame
from lab_app.words import LONGEST, words
from tests.lab_app.synthetic import LANES, LAYERS, mapped, measured, started

PANEL = {panel.key: panel for panel in PANELS}
EVENT = measured(LANES[0], 4, 10, 50).as_dict()


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.key)
def test_rows_are_small_and_strict_json(panel):
    row = panel.row(EVENT)
    assert row["lane"] == LANES[0]
    assert row["round"] == 4
    assert len(json.dumps(row, allow_nan=False)) < 3_000
    assert len(json.dumps(panel.start(started(10, 500).as_dict()), allow_nan=False)) < 12_000


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.key)
def test_an_event_without_its_measure_gives_no_row(panel):
    assert panel.row({"lane": "x", "round": 1, "scores": {}, "layers": [], "map": None}) is None


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.key)
def test_each_panel_explains_itself_and_survives_templates(panel):
    text = frame(panel)
    assert "<math" in text
    assert panel.protocol in text
    assert "${" not in text  # the front end would fill it in
    assert "{{" not in text


def test_scores_carry_what_was_measured_and_nothing_else():
    row = PANEL["scores"].row(
        {"lane": "a", "round": 2, "scores": {"edits": 20, "efficacy": 0.123456, "paraphrase": None}}
    )
    assert row == {"lane": "a", "round": 2, "edits": 20, "efficacy": 0.1235}
    sure = {"efficacy": [0.1, 0.2], "other": [0, 1]}
    assert PANEL["scores"].row(EVENT | {"intervals": sure})["sure"] == {"efficacy": [0.1, 0.2]}


def test_tasks_are_told_apart_from_their_mean():
    row = PANEL["tasks"].row({"lane": "a", "round": 2, "scores": {"edits": 9, "task_mean": 0.5, "task_x": 0.25}})
    assert row == {"lane": "a", "round": 2, "edits": 9, "mean": 0.5, "tasks": {"x": 0.25}}


def test_curves_keep_their_ends():
    spectra = PANEL["energy"].row(EVENT)["spectra"]
    assert [found["layer"] for found in spectra] == list(LAYERS)
    for found, full in zip(spectra, EVENT["spectra"], strict=True):
        assert (found["i"][0], found["i"][-1]) == (1, 256)
        assert found["sigma"][0] == pytest.approx(full["sigma"][0], rel=1e-3)
        assert found["k"] == full["k"]
    drift = PANEL["drift"].row(EVENT)["layers"][0]
    assert (drift["k"][0], drift["k"][-1]) == (1, 256)
    assert len(drift["k"]) == len(drift["rk"]) <= 42


def test_k_of_the_unedited_matrix_is_each_lanes_own():
    event = started(10, 500).as_dict()
    event["lanes"][1]["recipe"]["guards"] = [{"name": "shrink", "factor": 0.5}, {"name": "revive", "tau": 0.2}]
    begun = PANEL["energy"].start(event)
    assert begun["tau"] == {LANES[0]: 0.1, LANES[1]: 0.2}
    assert begun["k0"] == {LANES[0]: event["tau_k"]["0.1"], LANES[1]: event["tau_k"]["0.2"]}
    assert begun["by"] == dict.fromkeys(LANES, "energy")
    event["lanes"][1]["recipe"]["guards"] = [{"name": "revive", "tau": 0.2, "by": "count"}]
    counted = PANEL["energy"].start(event | {"lane_k": {LANES[1]: {"1": 51}}})
    assert (counted["k0"][LANES[1]], counted["by"][LANES[1]]) == ({"1": 51}, "count")
    assert PANEL["energy"].start({**event, "tau_k": {}})["k0"] == {LANES[0]: {}, LANES[1]: {}}


def test_maps_are_thinned():
    found = drawn(mapped(0.5, points=1000))
    assert len(found["x"]) == len(found["y0"]) == len(found["fact"]) <= MOST
    assert found["points"] == 1000


def test_words_are_plain_and_bounded():
    said = [{"fact": 1, "prompt": "<b>p</b>", "target": "t", "before": "x" * 9_999, "after": "", "said": True}] * 40
    row = words({"lane": "a", "round": 1, "words": said})
    assert len(row["words"]) == 12
    assert row["words"][0]["prompt"] == "<b>p</b>"
    assert len(row["words"][0]["before"]) == LONGEST
    assert words({"lane": "a", "round": 1, "words": []}) is None


def test_numbers_are_short_and_never_nan():
    assert short([1.23456789, float("nan"), float("inf"), 7, True, None]) == [1.235, None, None, 7, None, None]
    assert picked([0.5, 1.5], [0, 1, 2]) == [0.5, 1.5]
    for count in (1, 2, 39, 40, 41, 5_000):
        kept = thinned(count)
        assert kept[0] == 0
        assert kept[-1] == count - 1
        assert kept == sorted(set(kept))
        assert len(kept) <= 42


def test_formulas_escape_their_symbols():
    assert formula("a", "<", frac("1", "n")).count("<mo>") == 0  # "<" begins markup, nothing else does
    assert "<mi>a&amp;b</mi>" in formula("a&b")


def test_the_controls_of_r_k_are_sent_once_and_what_was_read_is_said():
    event = started(10, 500).as_dict()
    begun = PANEL["drift"].start(event)
    assert begun["read"] == "1,024 tokens of statements of 200 facts that no edit concerns"
    for sent, control in zip(begun["controls"], event["controls"], strict=True):
        assert (sent["k"][0], sent["k"][-1]) == (1, 256)
        for name in ("null", "resampled"):
            assert sent[name] == [pytest.approx(control[name][k - 1], rel=1e-3) for k in sent["k"]]
    lacking = {"drift": "R_k was left out: few tokens."}
    assert PANEL["drift"].start(event | {"reads": {}, "controls": [], "lacking": lacking}) == {
        "controls": [],
        "why": "R_k was left out: few tokens.",
    }
    older = {name: value for name, value in event.items() if name not in ("reads", "controls", "lacking", "tasks")}
    assert PANEL["drift"].start(older) == {"controls": []}
    assert PANEL["tasks"].start(older) == {"chance": {}}


def test_tasks_are_drawn_in_their_own_units():
    """A correlation is no share: it is not among those that the mean is over, and the chart gives it its own axis."""
    tasks = {
        "sst2": {"chance": 0.5, "in_mean": True, "called": "accuracy"},
        "cola": {"chance": None, "in_mean": False, "called": "Matthews correlation, −1 to 1"},
    }
    begun = PANEL["tasks"].start(started(10, 500).as_dict() | {"tasks": tasks})
    assert begun["units"] == {"sst2": "accuracy", "cola": "Matthews correlation, −1 to 1"}
    assert (begun["counted"], begun["chance"]) == (["sst2"], {"sst2": 0.5, "mean": 0.5})


def test_guessing_of_the_mean_is_that_of_the_tasks_that_count_in_it():
    event = started(10, 500).as_dict()
    begun = PANEL["tasks"].start(event)["chance"]
    assert begun == {"sentiment": 0.25, "entailment": 0.375, "arithmetic": 0.5, "mean": 0.375}
    event["tasks"]["cola"] = {"chance": None, "in_mean": False, "metric": "mcc"}
    assert PANEL["tasks"].start(event)["chance"] == begun
    event["tasks"]["cola"]["in_mean"] = True
    assert "mean" not in PANEL["tasks"].start(event)["chance"]  # of one that counts it is not known


def test_no_peak_of_ss_is_lost():
    for found, full in zip(PANEL["directions"].row(EVENT)["layers"], EVENT["similarity"], strict=True):
        for side in ("right", "left"):
            drawn = dict(zip(found[side]["j"], found[side]["first"], strict=True))
            stored = dict(zip(full[f"index_{side}"], full[f"ss_{side}_first"], strict=True))
            assert len(drawn) <= 18
            assert {1, 40} <= set(drawn)
            for j, value in drawn.items():
                assert value == pytest.approx(stored[j - 1], abs=5e-4)
            most = [full[f"ss_{side}_max"][i - 1] for i in found["i"]]
            assert found[side]["most"] == pytest.approx(most, abs=5e-4)
