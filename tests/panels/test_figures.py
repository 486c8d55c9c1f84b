"""What a panel draws, as a plotly figure, against the events that a run stored."""

import json
import subprocess
import sys

import pytest

from core import panels, scores
from core.charts.panel import filled
from core.errors import UserError
from tests.lab_app.synthetic import LANES, LAYERS, measured, scripted, started

EVENTS = [event.as_dict() for event in scripted(6)]
MEASURED = {(event["lane"], event["round"]): event for event in EVENTS if event["kind"] == "measured"}
EVENT = MEASURED[LANES[1], 4]


def lines(figure, lane=LANES[1]):
    return [trace for trace in figure.data if trace.name == lane and trace.fill is None]


def near(values, digits=4):
    return pytest.approx([float(f"{value:.{digits}g}") for value in values])


def layer_of(rows, number):
    return next(row for row in rows if row["layer"] == number)


@pytest.mark.parametrize(
    ("protocol", "wanted"),
    [
        ("probability", ["efficacy", "paraphrase", "neighborhood", "unedited_recall", "locality_kept"]),
        ("exact", ["efficacy_exact", "paraphrase_exact", "neighborhood_exact", "unedited_recall", "locality_kept"]),
        ("when edited", ["efficacy_when_edited", "unedited_recall", "locality_kept"]),
    ],
)
def test_scores(protocol, wanted):
    figure = panels.figure("scores", EVENTS, protocol=protocol)
    for trace, name in zip(lines(figure), wanted, strict=True):
        known = [MEASURED[LANES[1], n]["scores"] for n in range(7) if name in MEASURED[LANES[1], n]["scores"]]
        assert list(trace.x) == [found["edits"] for found in known]
        assert list(trace.y) == near(found[name] for found in known)
    told = [number["values"][LANES[1]] for number in figure.layout.meta if number["values"][LANES[1]] is not None]
    assert told == near(MEASURED[LANES[1], 6]["scores"][name] for name in wanted)
    assert {number["unit"] for number in figure.layout.meta} == {"%"}


def test_intervals_of_scores():
    event = {**EVENT, "intervals": {"efficacy": [0.5, 0.9], "other": [0, 1]}}
    events = [EVENTS[0], {**event, "round": 3}, event]
    (band,) = [trace for trace in panels.figure("scores", events).data if trace.fill == "toself"]
    assert list(band.y) == [0.9, 0.9, 0.5, 0.5]


def test_tasks():
    figure = panels.figure("tasks", EVENTS, task="task_entailment", round=4)
    (trace,) = lines(figure)
    assert list(trace.y) == near(MEASURED[LANES[1], n]["scores"]["task_entailment"] for n in range(7))
    assert figure.layout.meta[0]["values"][LANES[1]] == pytest.approx(EVENT["scores"]["task_entailment"], rel=1e-3)
    heights = [shape.y0 for shape in figure.layout.shapes]
    assert heights == near([MEASURED[LANES[0], 0]["scores"]["task_entailment"], 0.375])
    mean = panels.figure("tasks", EVENTS)
    assert mean.layout.meta[0]["title"] == "mean"
    assert mean.layout.shapes[1].y0 == 0.375


def test_energy():
    figure = panels.figure("energy", EVENTS, layer=4, scale="share", round=4)
    (trace,) = lines(figure)
    stored = layer_of(EVENT["spectra"], 4)
    at = dict(zip(stored["index"], stored["cumulative"], strict=True))
    assert list(trace.y) == near(at[i - 1] for i in trace.x)
    grey = next(trace for trace in figure.data if trace.name == "unedited")
    base = layer_of(EVENTS[0]["spectra"], 4)
    at = dict(zip(base["index"], base["cumulative"], strict=True))
    assert list(grey.y) == near(at[i - 1] for i in grey.x)
    places = [shape.x1 for shape in figure.layout.shapes]
    now = [layer_of(MEASURED[lane, 4]["spectra"], 4)["k"] for lane in LANES]
    assert places == [EVENTS[0]["tau_k"]["0.1"]["4"], *now]
    rank, moved = figure.layout.meta
    assert rank["title"] == "k of W₀ at τ = 0.1 (shaded)"
    assert list(rank["values"].values()) == places[:1]
    assert list(moved["values"].values()) == now


def test_similarity():
    figure = panels.figure("similarity", EVENTS, measure="ss_left", layer=3)
    stored = [layer_of(MEASURED[LANES[0], n]["layers"], 3) for n in range(7)]
    for trace, name in zip(lines(figure, LANES[0]), ("ss_left", "drift_right", "drift_left"), strict=True):
        assert list(trace.y) == near(row[name] for row in stored)
    assert [number["values"][LANES[0]] for number in figure.layout.meta] == near(
        stored[-1][name] for name in ("ss_left", "drift_right", "drift_left")
    )
    assert [trace.line.dash for trace in lines(figure, LANES[0])] == ["solid", "solid", "dot"]


def test_drift():
    figure = panels.figure("drift", EVENTS, layer=5, round=4)
    (trace,) = lines(figure)
    stored = layer_of(EVENT["drift"], 5)
    assert list(trace.customdata) == near(stored["rk"][k - 1] for k in trace.x)
    still = next(trace for trace in figure.data if trace.name == "null edit")
    assert set(still.customdata) == {0.0}
    assert set(still.y) == {min(value for trace in figure.data for value in trace.customdata if value > 0) / 3}
    over, median = figure.layout.meta
    summary = layer_of(EVENT["layers"], 5)
    assert (over["unit"], over["values"][LANES[1]]) == ("%", pytest.approx(summary["rk_over_1"], rel=1e-3))
    assert (median["unit"], median["values"][LANES[1]]) == ("", pytest.approx(summary["rk_median"], rel=1e-3))
    told = filled(panels.get("drift"), EVENTS)
    assert told.protocol.endswith(f"on {EVENTS[0]['reads']['drift']}")


@pytest.mark.parametrize("side", ["right", "left"])
def test_directions(side):
    figure = panels.figure("directions", EVENTS, layer=4, side=side)
    first, best = lines(figure, LANES[0])
    stored = layer_of(MEASURED[LANES[0], 6]["similarity"], 4)
    at = dict(zip(stored[f"index_{side}"], stored[f"ss_{side}_first"], strict=True))
    assert list(first.y) == pytest.approx([round(at[j - 1], 3) for j in first.x])
    assert list(best.y) == pytest.approx([round(stored[f"ss_{side}_max"][i - 1], 3) for i in best.x])
    assert dict(figure.layout.meta[0]["values"])[LANES[0]] == 40  # where the first direction has gone


@pytest.mark.parametrize("kept", ["unedited_recall", "task_mean", "neighborhood_exact"])
def test_frontier(kept):
    figure = panels.figure("frontier", EVENTS, kept=kept)
    (trace,) = lines(figure)
    stored = [MEASURED[LANES[1], n]["scores"] for n in range(1, 7)]
    assert list(trace.x) == near(found["efficacy_exact"] for found in stored)
    assert list(trace.y) == near(found[kept] for found in stored)


def test_map():
    figure = panels.figure("map", EVENTS, round=4)
    (trace,) = lines(figure)
    assert list(trace.x) == near(EVENT["map"]["x"], 3)
    before = [trace for trace in figure.data if trace.mode == "markers" and trace.name is None][-1]
    assert list(before.y) == near(EVENT["map"]["y0"], 3)


def test_what_is_not_there_is_told():
    with pytest.raises(UserError, match='did you mean "scores"'):
        panels.figure("score", EVENTS)
    with pytest.raises(UserError, match="no choice 'protocl'"):
        panels.figure("scores", EVENTS, protocl="exact")
    with pytest.raises(UserError, match="none of probability, exact"):
        panels.figure("scores", EVENTS, protocol="both")
    with pytest.raises(UserError, match="There is no lane 'MEMITT'"):
        panels.figure("scores", EVENTS, lanes=["MEMITT"])


@pytest.mark.parametrize("panel", panels.panels(), ids=lambda panel: panel.key)
def test_rows_are_small_and_strict_json(panel):
    row = panel.row(EVENT)
    assert (row["lane"], row["round"]) == (LANES[1], 4)
    assert len(json.dumps(row, allow_nan=False)) < 3_000
    begun = panel.start(started(10, 500).as_dict()).as_dict()
    assert len(json.dumps(begun, allow_nan=False)) < 12_000
    assert panel.row({"lane": "x", "round": 1, "scores": {}, "layers": [], "map": None}) is None
    declared = {name: {column.name for column in columns} for name, columns in panel.columns.items()}
    for block in [*row["blocks"], *begun.get("blocks", ())]:
        extra = {column["name"] for column in begun.get("columns", {}).get(block["table"], ())}
        ends = {f"{name}_{end}" for name in declared[block["table"]] for end in ("low", "high")}
        assert set(block) - {"table", "reference"} <= declared[block["table"]] | extra | ends


def test_a_panel_is_a_file(tmp_path, monkeypatch):
    source = (panels.FOLDER / "similarity.py").read_text().replace('key="similarity"', 'key="twice"')
    (tmp_path / "twice.py").write_text(source)
    monkeypatch.setattr(panels, "FOLDER", tmp_path)
    monkeypatch.setattr(panels, "__path__", [str(tmp_path)])
    panels.panels.cache_clear()
    try:
        assert [panel.key for panel in panels.panels()] == ["twice"]
        assert len(panels.figure("twice", EVENTS).data) == 6
    finally:
        panels.panels.cache_clear()
        sys.modules.pop("core.panels.twice", None)


ONE_MORE = """
import core.scores as scores
scores.SCORES += (scores.Score(name="fluency", meaning="x", group="fluency", title="Fluency",
    drawn=scores.in_all("of 1"), compared="Fluency", curve=True, kept=("fluency", "fluent answers")),)
from core import panels
from core.runs.store.folder import ROUNDS
from lab_app.handlers.compare import CURVES, SCORES
from tests.lab_app.synthetic import scripted
events = [event.as_dict() for event in scripted(2)]
for event in events:
    event.get("scores", {})["fluency"] = .5
figure = panels.figure("scores", events)
assert figure.layout.meta[-1]["title"] == "Fluency", figure.layout.meta
assert set(figure.data[-1].y) == {.5}
assert set(panels.figure("frontier", events, kept="fluency").data[-1].y) == {.5}
assert "fluency" in ROUNDS and "fluency" in CURVES and SCORES["fluency"] == "Fluency"
"""


def test_a_score_is_one_declaration():
    subprocess.run([sys.executable, "-c", ONE_MORE], check=True, cwd=panels.FOLDER.parents[1])


def test_measures_compute_what_is_declared():
    from core.measures.outside.locality import COLUMNS as LOCALITY
    from core.measures.outside.scores import COLUMNS as ASKED

    assert {*LOCALITY, *ASKED} <= set(scores.names())
    assert {score.group for score in scores.SCORES if score.drawn} == set(scores.GROUPS)


def test_layers_are_those_of_the_run():
    for key in ("energy", "similarity", "drift", "directions"):
        with pytest.raises(UserError, match=", ".join(map(str, LAYERS))):
            panels.figure(key, EVENTS, layer=7)


def test_a_round_of_another_shape_is_drawn_too():
    event = measured(LANES[0], 1, 6, 50).as_dict() | {"drift": [], "similarity": [], "map": None}
    assert len(panels.figure("drift", [EVENTS[0], event]).data) == 2  # the controls alone
