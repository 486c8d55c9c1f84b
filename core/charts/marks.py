"""The traces of a small chart, one function per kind of mark: plotly's JSON, without axes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from core.charts import colours
from core.charts.grammar import Chart
from core.charts.select import Cell, Data, Series, distinct
from core.charts.table import Row

Trace = dict[str, Any]
POINTS = 48  # of a line that still shows its marks


def traces(cell: Cell, data: Data) -> Iterator[Trace]:
    """All traces of one small chart, in the order in which they are drawn."""
    if cell.chart.kind == "heat":
        yield from heat(cell)
        return
    foot = floor(cell) if cell.chart.floor else None
    for series in cell.series:
        worn = looks(cell.chart, series, data)
        if cell.chart.kind == "moved":
            yield from moved(cell.chart, series, worn)
        else:
            yield from joined(cell.chart, series, worn, foot)


def name_of(chart: Chart, series: Series) -> str:
    """A series in the legend."""
    if series.reference:
        return series.reference.name
    if series.family:
        return series.family
    if chart.by is None:
        return str(series.lane)
    return f"{chart.by} {series.by}" if isinstance(series.by, (int, float)) else str(series.by)


def looks(chart: Chart, series: Series, data: Data) -> Trace:
    """The colour, dash and mark of a series."""
    if series.reference or series.family:
        colour = colours.BASE if series.reference and series.reference.width > 2 else colours.MUTED
        dash = series.reference.dash if series.reference else "dot"
        width = series.reference.width if series.reference else 2
        return {"mode": "lines", "line": {"color": colour, "dash": dash, "width": width}}
    place = data.lanes.index(series.lane) if series.lane in data.lanes else 0
    colour, symbol = colours.LANES[place % len(colours.LANES)], colours.mark_of(place, colours.MARKERS)
    dash = "solid" if chart.y_also else colours.mark_of(place, colours.DASHES)
    if chart.by is not None:
        values = distinct(data.rows.get(chart.table, ()), chart.by)
        at = values.index(series.by)
        colour = colours.SERIES[at % len(colours.SERIES)]
        if len(values) > 1 and isinstance(series.by, (int, float)):
            colour = colours.mixed(*colours.RAMP, at / (len(values) - 1))
        symbol, dash = colours.MARKERS[at % len(colours.MARKERS)], "solid"
    if chart.hollow and any(row["lane"] == series.lane for row in data.rows.get(chart.hollow, ())):
        symbol = "star-open"
    marks = len(series.rows) <= POINTS and not chart.smooth
    mode = "markers" if chart.kind == "scatter" else "lines+markers" if marks else "lines"
    line = {"color": colour, "dash": "dot" if series.also else dash, "width": 2}
    return {"mode": mode, "line": line, "marker": {"color": colour, "symbol": symbol, "size": 6}}


def joined(chart: Chart, series: Series, worn: Trace, foot: float | None) -> Iterator[Trace]:
    """Lines, points, paths and bars, with their intervals."""
    rows, y = series.rows, [row[series.y] for row in series.rows]
    x = [row[chart.x] for row in rows]
    sure = [row for row in rows if chart.y_low and None not in (row.get(chart.y_low), row.get(chart.y_high))]
    if chart.kind == "line" and len(sure) > 1:
        yield band(chart, sure, worn["line"]["color"])
    trace: Trace = {"name": name_of(chart, series), "x": x, "y": y}
    if foot is not None:
        trace |= {"y": [max(value, foot) for value in y], "customdata": y}
    if chart.text:
        trace |= {"text": [escape(str(row.get(chart.text))) for row in rows]}
    if sure and chart.kind != "line" and len(sure) == len(rows):
        high, low = ([row[column] for row in rows] for column in (chart.y_high, chart.y_low))
        up, down = (
            [end - at for end, at in zip(high, y, strict=True)],
            [at - end for end, at in zip(low, y, strict=True)],
        )
        trace |= {"error_y": {"array": up, "arrayminus": down, "color": colours.MUTED}}
    if chart.kind == "bar":
        yield trace | {"type": "bar", "marker": {"color": worn["line"]["color"]}}
    else:
        yield trace | {"type": "scatter", **worn}


def band(chart: Chart, rows: Sequence[Row], colour: str) -> Trace:
    """The area between the ends of a number's intervals."""
    x = [row[chart.x] for row in rows]
    ends = [[row[column] for row in rows] for column in (chart.y_high, chart.y_low)]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [*x, *reversed(x)],
        "y": [*ends[0], *reversed(ends[1])],
        "fill": "toself",
        "fillcolor": colour,
        "opacity": 0.13,
        "line": {"width": 0},
        "hoverinfo": "skip",
    }


def moved(chart: Chart, series: Series, worn: Trace) -> Iterator[Trace]:
    """Where each point came from, where it is, and the way between."""
    rows = series.rows
    way: Trace = {"x": [], "y": []}
    for row in rows:
        way["x"] += [row[str(chart.x_from)], row[chart.x], None]
        way["y"] += [row[str(chart.y_from)], row[chart.y], None]
    colour = worn["line"]["color"]
    yield way | {"type": "scatter", "mode": "lines", "line": {"color": colour, "width": 1}, "opacity": 0.35}
    before = {"x": [row[str(chart.x_from)] for row in rows], "y": [row[str(chart.y_from)] for row in rows]}
    hollow = {"symbol": "circle-open", "size": 5, "color": colours.BASE}
    yield before | {"type": "scatter", "mode": "markers", "marker": hollow}
    now = {"x": [row[chart.x] for row in rows], "y": [row[series.y] for row in rows]}
    yield now | {"type": "scatter", "mode": "markers", "name": series.lane, "marker": worn["marker"]}


def heat(cell: Cell) -> Iterator[Trace]:
    """A grid of colours: from 0 where nothing is negative, else alike on both sides of 0."""
    chart = cell.chart
    rows = [row for series in cell.series for row in series.rows]
    across, down = distinct(rows, str(chart.x)), distinct(rows, str(chart.y))
    at = {(row[chart.x], row[chart.y]): row.get(str(chart.z)) for row in rows}
    values = [value for value in at.values() if value is not None]
    least, most = min(values, default=0), max(values, default=1)
    end = max(-least, most)
    signed = {"zmin": -end, "zmax": end, "colorscale": [[0, colours.COOL], [0.5, colours.CARD], [1, colours.WARM]]}
    plain = {"zmin": 0 if most <= 1 else min(least, 0), "zmax": 1 if most <= 1 else most}
    yield {
        "type": "heatmap",
        "x": [str(value) for value in across],
        "y": [str(value) for value in down],
        "z": [[at.get((x, y)) for x in across] for y in down],
        **(signed if least < 0 else plain | {"colorscale": [[0, colours.CARD], [1, colours.ACCENT]]}),
    }


def floor(cell: Cell) -> float:
    """The y at which zeros are drawn on a logarithmic axis: below all positive values."""
    values = [row[series.y] for series in cell.series for row in series.rows]
    return min([1.0, *(value for value in values if value > 0)]) / 3
