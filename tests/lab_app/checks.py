"""What is drawn against what is stored, and against the figures of the library: for the page in a browser, and for its
renderer alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core import panels
from tests.panels.stored import Stored, drawn, heads, same


def check(
    key: str, choices: Mapping[str, Any], events: Sequence[Any], stored: Stored, found: Mapping[str, Any]
) -> None:
    """All that a panel shows under these choices: its curves, big numbers with their units, axes, bands and lines."""
    assert same(curves(found["traces"]), drawn(key, stored, choices)) == [], (key, choices)
    for number, (title, sign, values) in zip(found["numbers"], heads(key, stored, choices), strict=True):
        assert (number["name"], number["unit"]) == (title, sign), (key, choices)
        said = {title.split(": ")[0] or None: text for title, text in number["values"]}
        assert said == {lane: text for lane, (_, text) in values.items()}, (key, choices, title)
    shares = {trace["column"] for trace in found["traces"] if trace["unit"] == "share"}
    assert shares == shares_of(key, choices), (key, choices)
    for trace in found["traces"]:
        if trace["column"] in shares:  # read at an axis in per cent
            assert "100 %" in trace["axis"].get("ticktext", []) or trace["axis"].get("tickformat") == ".0%", key
    compare_with_python(key, events, choices, stored.round, found)
    if key == "scores":
        check_bands(found["traces"], stored, choices["protocol"])


def shares_of(key: str, choices: Mapping[str, Any]) -> set[str]:
    """The columns of a panel that are shares."""
    if key == "scores":
        from tests.panels.stored import PROTOCOLS

        return {column for column in PROTOCOLS[choices["protocol"]] if column}
    if key in ("tasks", "frontier"):
        return set(choices.values())
    return {"share"} if choices.get("scale") == "share" else set()


def curves(traces: list[dict[str, Any]]) -> dict[tuple[str, str], list[tuple[Any, Any]]]:
    """The curves among these traces, by lane or reference and column."""
    found: dict[tuple[str, str], list[tuple[Any, Any]]] = {}
    for trace in traces:
        if trace["column"] and not trace["fill"]:
            points = list(zip(trace["x"], trace["y"], strict=True))
            found.setdefault((trace["lane"] or trace["name"], trace["column"]), []).extend(points)
    return found


def compare_with_python(
    key: str, events: Sequence[Any], choices: Mapping[str, Any], round: int, found: Mapping[str, Any]
) -> None:
    """The plotly figure of the library has the same traces in the same order, and the same reference lines."""
    figure = panels.figure(key, events, round=round, **choices)
    mine = [
        (trace.name, list(trace.x), list(trace.customdata if trace.customdata is not None else trace.y))
        for trace in figure.data
        if trace.name
    ]
    theirs = [(trace["lane"] or trace["name"], trace["x"], trace["y"]) for trace in found["traces"] if trace["column"]]
    assert mine == theirs, (key, choices)
    bands = [(list(trace.x), list(trace.y)) for trace in figure.data if trace.fill == "toself"]
    assert bands == [(trace["x"], trace["y"]) for trace in found["traces"] if trace["fill"]]
    places = [[shape.type, shape.x0, shape.x1, shape.y0, shape.y1] for shape in figure.layout.shapes]
    shapes = found["shapes"][len(found["shapes"]) - len(places) :]  # the ruler of the page comes before these
    assert places == [[shape[name] for name in ("type", "x0", "x1", "y0", "y1")] for shape in shapes]
    signs = [(number["title"], number["unit"]) for number in figure.layout.meta]
    assert signs == [(number["name"], number["unit"]) for number in found["numbers"]]


def check_bands(traces: list[dict[str, Any]], stored: Stored, protocol: str) -> None:
    """The ends of the intervals, of each lane and score that has some, above and below its curve."""
    names = {"probability": ("efficacy", "neighborhood"), "exact": ("efficacy_exact", "neighborhood_exact")}
    wanted = []
    for name in names.get(protocol, ("efficacy_when_edited",)):
        for lane in stored.lanes:
            ends = [event["intervals"][name] for event in stored.history(lane) if name in event["intervals"]]
            wanted.append([float(f"{high:.3g}") for _, high in ends] + [float(f"{low:.3g}") for low, _ in ends][::-1])
    assert [trace["y"] for trace in traces if trace["fill"]] == wanted
