"""The page's renderer without a page: what it draws against stored events, and against Python's figures.

It needs Node; test_drawn.py asks a browser the same.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from core import panels
from core.charts.plot import charted
from core.charts.table import UNITS, formatted, precise
from lab_app.frontend import HERE
from tests.lab_app.checks import check
from tests.lab_app.studied import CHARTS, studied
from tests.lab_app.synthetic import LANES, scripted
from tests.lab_app.test_drawn import LOOKED, ROUNDS, with_intervals
from tests.panels.stored import CASES, Stored

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(
    NODE is None, reason="the renderer runs in Node: install it to test it without a browser"
)
VALUES = [
    (value, unit)
    for unit in UNITS
    for value in (0, 1, 0.5, 0.974, 0.9951, 0.00012, 0.0031, 12.5, 1234, -0.25, None)
    if not (unit == "index" and isinstance(value, float))
]


def node(asked: dict[str, Any]) -> dict[str, Any]:
    """What the renderer makes of these cases."""
    command = [str(NODE), str(Path(__file__).with_name("draw.mjs")), str(HERE)]
    done = subprocess.run(command, input=json.dumps(asked), text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@cache
def events() -> list[dict[str, Any]]:
    found = []
    for event in scripted(ROUNDS):
        if event.kind == "measured":
            ends = with_intervals(event.lane, event.round, ROUNDS, 50).intervals
            event = replace(event, intervals=ends)
        found.append(event.as_dict())
    return found


@cache
def rendered() -> list[dict[str, Any]]:
    """Every panel with each of its choices, from the rows that a page is sent."""
    cases = []
    for key, choices in CASES:
        panel = panels.get(key)
        begun = {"start": True, "lanes": list(LANES)} | panel.start(events()[0]).as_dict()
        rows = [panel.row(event) for event in events() if event["kind"] == "measured"]
        columns = {table: [column.as_dict() for column in own] for table, own in panel.columns.items()}
        sent = [begun, *filter(None, rows)]
        cases.append(
            {"plot": panel.plot.as_dict(), "columns": columns, "rows": sent, "picks": choices, "round": LOOKED}
        )
    return node({"lanes": LANES, "cases": cases})["cases"]


@pytest.mark.parametrize("place", range(len(CASES)), ids=lambda place: f"{CASES[place][0]} {CASES[place][1]}")
def test_panels(place):
    key, choices = CASES[place]
    check(key, choices, events(), Stored(events(), LOOKED), rendered()[place])


def test_tables_have_what_is_drawn():
    by_key = {key: found["table"] for (key, choices), found in zip(CASES, rendered(), strict=True)}
    assert len(by_key["scores"]["rows"]) == (ROUNDS + 1) * len(LANES)  # all rounds
    rk = by_key["drift"]
    lanes = [row[rk["columns"].index("lane")] for row in rk["rows"]]
    assert set(lanes) == {*LANES, "null edit", "other inputs, no edit"}
    assert {row[rk["columns"].index("round")] for row in rk["rows"]} == {None, LOOKED}  # the round looked at
    assert {row[rk["columns"].index("layer")] for row in rk["rows"]} == {5}
    task = by_key["tasks"]
    assert task["rows"][0][task["columns"].index("lane")] == "guessing"


class Asked:
    """A study that was asked for at two rounds."""

    def __init__(self):
        self.asked = type("", (), {"name": "keys", "options": {}, "rounds": "0,2", "lanes": None})


def test_studies():
    """Every kind of chart of a study, as Python draws it too."""
    tables = studied(Asked(), list(LANES))["tables"]
    charts = [chart for chart in CHARTS if tables[chart.table]]
    cases = [
        {"plot": {"charts": [chart.as_dict()]}, "picks": {}, "round": None}
        | {"data": {"rows": {chart.table: tables[chart.table]}, "columns": {}, "lanes": list(LANES)}}
        for chart in charts
    ]
    for chart, found in zip(charts, node({"lanes": LANES, "cases": cases})["cases"], strict=True):
        figure = charted(chart.as_dict(), tables[chart.table])
        if chart.kind == "heat":
            assert [trace["z"] for trace in found["traces"]] == [
                [list(row) for row in trace.z] for trace in figure.data
            ]
            continue
        mine = [(trace.name, list(trace.y)) for trace in figure.data]
        theirs = [(trace["name"], trace["y"]) for trace in found["traces"]]
        assert mine == theirs, chart.title
        at = [x.replace("<br>", " ") if isinstance(x, str) else x for trace in found["traces"] for x in trace["x"]]
        assert at == [x for trace in figure.data for x in trace.x]


def test_numbers_are_said_alike():
    told = node({"lanes": [], "cases": [], "values": VALUES})
    assert {name: tuple(pair) for name, pair in told["units"].items()} == UNITS
    for (value, unit), says in zip(VALUES, told["numbers"], strict=True):
        assert says == [formatted(value, unit), precise(value, unit)], (value, unit)
