"""A plot as a plotly `Figure`: the same series, numbers and colours as in the browser, for notebooks and scripts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from core.charts import colours
from core.charts.grammar import Chart, Plot
from core.charts.marks import traces
from core.charts.select import Cell, Data, Line, View, cells, numbers
from core.charts.table import UNITS

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

COLUMNS = 3  # small charts side by side
WIDTH, TALL, GAP = 300, 320, 0.08  # px of a small chart; the share between two of them


def plotted(plot: Plot, data: Data, view: View | None = None, title: str = "") -> Figure:
    """The plot of these tables as a plotly figure. `view`: the lanes, the round and the choices to show.

    Lanes have the page's colours in light mode. Big numbers are in the figure's `meta`, as `{"title", "unit", "values":
    {lane: stored value}}` each.
    """
    from plotly.graph_objects import Figure

    view = view or View()
    small = cells(plot, data, view)
    columns = min(COLUMNS, max(1, len(small)))
    lines = max(1, math.ceil(len(small) / columns))
    figure = Figure()
    for place, cell in enumerate(small):
        figure.add_traces(list(drawn(cell, place, data)))
        number = "" if place == 0 else str(place + 1)
        x, y = domains(place, columns, lines)
        figure.update_layout(
            {
                f"xaxis{number}": axis(cell, data, "x") | {"domain": x, "anchor": f"y{number}"},
                f"yaxis{number}": axis(cell, data, "y") | {"domain": y, "anchor": f"x{number}"},
            }
        )
        for line in cell.lines:
            add_line(figure, line, cell.chart, number, data.lanes)
        figure.add_annotation(
            text=heading(cell), xref="paper", yref="paper", x=x[0], y=y[1], xanchor="left", yanchor="bottom"
        ).update_annotations(showarrow=False)
    headline = [
        {
            "title": number.title,
            "unit": UNITS[number.unit][0],
            "values": {lane: value for lane, value, _ in number.values},
        }
        for number in numbers(plot, data, view)
    ]
    figure.update_layout(
        title=title or None,
        meta=headline,
        template="plotly_white",
        barmode="group",
        width=max(560, WIDTH * columns),
        height=TALL * lines + 60,
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.08, "x": 0},
        margin={"l": 60, "r": 20, "t": 90, "b": 50},
    )
    once_each(figure)
    return figure


def charted(written: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Figure:
    """A chart of a study's result (`Chart.as_dict`), from the rows of its table, as a plotly figure."""
    chart = Chart.from_dict(written)
    lanes = tuple(dict.fromkeys(row["lane"] for row in rows))
    return plotted(Plot(charts=(chart,)), Data({chart.table: [dict(row) for row in rows]}, lanes=lanes))


def drawn(cell: Cell, place: int, data: Data) -> Iterator[dict[str, Any]]:
    """The traces of one small chart, on its own axes."""
    number = "" if place == 0 else str(place + 1)
    for trace in traces(cell, data):
        yield trace | {"xaxis": f"x{number}", "yaxis": f"y{number}"}


def domains(place: int, columns: int, lines: int) -> tuple[list[float], list[float]]:
    """The position of a small chart, as shares of the width and the height."""
    wide, tall = (1 - GAP * (columns - 1)) / columns, (1 - 2 * GAP * (lines - 1)) / lines
    left, top = (place % columns) * (wide + GAP), 1 - (place // columns) * (tall + 2 * GAP)
    return [left, min(1.0, left + wide)], [max(0.0, top - tall), top]


def axis(cell: Cell, data: Data, letter: str) -> dict[str, Any]:
    """An axis of a small chart: logarithmic where the chart says so, shares from 0 to 100 %."""
    chart = cell.chart
    title = chart.x_title if letter == "x" else str(chart.y_title or "")
    log = chart.log_x if letter == "x" else chart.log_y
    layout: dict[str, Any] = {"title": {"text": escape(title)}}
    if log:
        return layout | {"type": "log"}
    if letter == "y" and chart.kind == "heat":
        return layout | {"type": "category", "autorange": "reversed"}
    unit = unit_of(chart, data) if letter == "y" and chart.kind not in ("heat", "moved") else ""
    values = [row.get(series.y) for series in cell.series for row in series.rows]
    if unit == "share" and all(value is not None and 0 <= value <= 1 for value in values):
        return layout | {"range": [-0.03, 1.03], "tickformat": ".0%"}
    if unit == "cosine":
        return layout | {"range": [-0.03, 1.03]}
    if unit == "correlation":
        return layout | {"range": [-1.03, 1.03]}
    return layout | ({"tickformat": ".0%"} if unit == "share" else {})


def unit_of(chart: Chart, data: Data) -> str:
    """The unit of a chart's y: its own, or that of its column."""
    return str(chart.unit or data.column(chart.table, str(chart.y)).unit)


def add_line(figure: Figure, line: Line, chart: Chart, number: str, lanes: Sequence[str]) -> None:
    """A reference line, or a shaded area up to it."""
    colour = colours.MUTED if line.lane is None else colours.LANES[lanes.index(line.lane) % len(colours.LANES)]
    along = {"x": "y", "y": "x"}[line.rule.axis]
    own, other = f"{line.rule.axis}{number}", f"{along}{number} domain"
    ends = {"xref": own, "yref": other} if line.rule.axis == "x" else {"xref": other, "yref": own}
    first = 1 if chart.log_x else 0
    place: Mapping[str, Any] = {
        f"{line.rule.axis}0": first if line.rule.shade else line.value,
        f"{line.rule.axis}1": line.value,
        f"{along}0": 0,
        f"{along}1": 1,
    }
    if line.rule.shade:
        figure.add_shape(type="rect", fillcolor=colours.SHADE, line_width=0, layer="below", **ends, **place)
    else:
        figure.add_shape(type="line", line={"color": colour, "dash": line.rule.dash, "width": 1.5}, **ends, **place)
    if line.label:
        log = chart.log_x if line.rule.axis == "x" else chart.log_y
        at = math.log10(line.value) if log else line.value
        figure.add_annotation(text=escape(line.label), showarrow=False, **ends, **{line.rule.axis: at, along: 1})


def heading(cell: Cell) -> str:
    """The heading of a small chart: its title, its facet and, if it shows one lane, the lane."""
    facet = cell.facet
    facet_label = f"{cell.chart.facet} {facet}" if isinstance(facet, (int, float)) else facet
    split = cell.chart.by is not None or cell.chart.kind == "heat" or cell.chart.facet == "lane"
    lane = cell.lanes[0] if split and cell.lanes else None
    return escape(" · ".join(str(part) for part in (cell.chart.title, facet_label, lane) if part))


def once_each(figure: Figure) -> None:
    """Every name once in the legend."""
    named = set()
    for trace in figure.data:
        trace.showlegend = bool(trace.name) and trace.name not in named and trace.type != "heatmap"
        named.add(trace.name)
