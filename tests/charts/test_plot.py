"""The plotly figure of a chart: its kinds of marks, its colours and its axes."""

import re
from pathlib import Path

import pytest

from core.charts import colours
from core.charts.grammar import Chart
from core.charts.plot import charted
from tests.lab_app.studied import CHARTS, studied

ROOT = Path(__file__).parents[2]


class Asked:
    """A study that was asked for at two rounds."""

    def __init__(self):
        self.asked = type("", (), {"name": "keys", "options": {}, "rounds": "0,2", "lanes": None})


FOUND = studied(Asked(), ["one", "two"])


@pytest.mark.parametrize("written", FOUND["charts"][:5], ids=lambda chart: chart["title"])
def test_a_study_is_drawn_with_its_own_numbers(written):
    rows = FOUND["tables"][written["table"]]
    figure = charted(written, rows)
    drawn = [trace for trace in figure.data if "fill" not in trace or trace.fill is None]
    if written["kind"] == "heat":
        assert [trace.z[2][3] for trace in drawn] == [row["rho"] for row in rows if (row["i"], row["j"]) == (2, 3)]
        assert drawn[0].zmin == -drawn[0].zmax
        return
    points = sorted((x, y) for trace in drawn for x, y in zip(trace.x, trace.y, strict=True))
    assert points == sorted((row[written["x"]], row[written["y"]]) for row in rows)
    assert {trace.type for trace in drawn} == {"bar" if written["kind"] == "bar" else "scatter"}
    if written["y_low"]:
        bands = [trace for trace in figure.data if "fill" in trace and trace.fill == "toself"]
        assert len(bands) == len(drawn)
        ends = zip(bands[0].y[:2], reversed(bands[0].y[2:]), strict=True)
        assert [high - low for high, low in ends] == pytest.approx([0.1, 0.1])


def test_charts_come_back_from_json():
    for chart in CHARTS:
        assert Chart.from_dict(chart.as_dict()) == chart
    plain = CHARTS[2].as_dict()
    assert "floor" not in plain  # only what is set
    assert plain["y_low"] is None  # but for what results always had


def test_colours_are_those_of_the_page():
    sheets = "\n".join(path.read_text() for path in ROOT.rglob("*.css") if ".venv" not in path.parts)
    light = {}
    for name, value in re.findall(r"--([\w-]+): (#[0-9a-f]{6}|rgba\([^)]*\));", sheets):
        light.setdefault(name, value)  # the first of each is that of light mode
    assert tuple(light[f"lane-{i}"] for i in range(1, 7)) == colours.LANES
    assert tuple(light[f"series-{i}"] for i in range(1, 9)) == colours.SERIES
    assert (light["ramp-0"], light["ramp-1"]) == colours.RAMP
    named = ("base", "muted", "ink", "hair", "card", "accent", "warm", "cool", "shade")
    assert [light[name] for name in named] == [getattr(colours, name.upper()) for name in named]
    assert colours.mixed("#000000", "#ff8000", 0.5) == "rgb(128,64,0)"


def test_lanes_beyond_six_have_another_mark():
    worn = [(place % 6, colours.mark_of(place, colours.MARKERS)) for place in range(12)]
    assert len(set(worn)) == 12
