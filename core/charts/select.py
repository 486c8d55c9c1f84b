"""From a plot and its tables to what is drawn: the rows, the series of each small chart, and the big numbers.

The browser's renderer does the same (`charts/select.js` of the front end); tests compare the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from core.charts.grammar import Chart, Choice, Chosen, Figure, Plot, Reference, Rule
from core.charts.table import Column, Row, formatted, precise

T = TypeVar("T")


@dataclass(frozen=True)
class Data:
    """The tables of a plot: their rows, their columns if these are declared, and the lanes in order."""

    rows: Mapping[str, Sequence[Row]]
    columns: Mapping[str, Sequence[Column]] = field(default_factory=dict)
    lanes: tuple[str, ...] = ()

    def column(self, table: str, name: str | None) -> Column:
        """A column as declared, or a plain one of this name."""
        return next((column for column in self.columns.get(table, ()) if column.name == name), Column(name or ""))


@dataclass(frozen=True)
class View:
    """The lanes shown (None: all), the selected round (None: the last), and the selected options, by the choice's
    name."""

    lanes: Sequence[str] | None = None
    round: int | None = None
    picks: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Series:
    """Points that are connected or coloured alike: of a lane and, if a chart has `by`, of one of its values; or of a
    reference or a family of lanes. `y` is the column that is drawn, `also` whether it is the second one."""

    rows: Sequence[Row]
    y: str
    lane: str | None = None
    by: Any = None
    also: bool = False
    reference: Reference | None = None
    family: str | None = None


@dataclass(frozen=True)
class Line:
    """A reference line: at `value` of an axis; of a lane, or of none."""

    rule: Rule
    value: int | float
    label: str = ""
    lane: str | None = None


@dataclass(frozen=True)
class Cell:
    """One small chart: its chart with all choices made, the facet and the lanes that it shows."""

    chart: Chart
    series: Sequence[Series]
    lines: Sequence[Line] = ()
    facet: Any = None
    lanes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Number:
    """Big numbers of a plot: per lane the stored value and its text, in `unit`."""

    title: str
    unit: str
    values: Sequence[tuple[str | None, Any, str]]
    wears: str = ""


def options(choice: Choice, plot: Plot, data: Data) -> list[tuple[Any, str]]:
    """The options of a choice, (key, title) each."""
    table = plot.charts[0].table
    if choice.options:
        present = {name for row in data.rows.get(table, ()) for name, value in row.items() if value is not None}
        needs = choice.needs
        return [(key, title) for key, title in choice.options if key not in needs or needs[key] in present]
    if choice.prefix:
        known = [column for column in data.columns.get(table, ()) if column.name.startswith(choice.prefix)]
        return [(column.name, column.title) for column in known]
    values = {row[choice.column] for row in data.rows.get(table, ()) if row.get(choice.column) is not None}
    return [(value, f"{choice.column} {value}") for value in sorted(values)]


def picks(plot: Plot, data: Data, view: View) -> dict[str, Any]:
    """The selected option of each choice: the view's, or else the first one; of shared choices the last one."""
    made = {}
    for choice in plot.choices:
        keys = [key for key, _ in options(choice, plot, data)]
        first = keys[-1 if choice.shared else 0] if keys else None
        made[choice.name] = view.picks[choice.name] if view.picks.get(choice.name) in keys else first
    return made


def resolved(declared: T, made: Mapping[str, Any]) -> T:
    """A chart, rule or figure with its `Chosen` fields filled in; "" where an option has no value."""
    changes: dict[str, Any] = {}
    for entry in fields(declared):  # type: ignore[arg-type]  # every T is a dataclass
        value = getattr(declared, entry.name)
        if isinstance(value, Chosen):
            key = made.get(value.choice)
            changes[entry.name] = key if value.of is None else value.of.get(str(key), "")
    return replace(declared, **changes)  # type: ignore[type-var]  # as above


def chosen_rows(plot: Plot, data: Data, view: View, table: str, where: Mapping[str, Any], at_round: bool) -> list[Row]:
    """The rows of a table that the view shows: of shown lanes or of none, with the values in `where`, filtered by
    the choices that have a column; `at_round`: of each lane those of the last round up to the view's."""
    made = picks(plot, data, view)
    filters = {choice.column: made[choice.name] for choice in plot.choices if choice.column}
    lanes = data.lanes if view.lanes is None else view.lanes
    rows = [row for row in data.rows.get(table, ()) if row.get("lane") is None or row["lane"] in lanes]
    if at_round:
        last: dict[str | None, int] = {}
        for row in rows:
            if row.get("round") is not None and (view.round is None or row["round"] <= view.round):
                last[row.get("lane")] = max(row["round"], last.get(row.get("lane"), row["round"]))
        rows = [row for row in rows if row.get("round") is None or last.get(row.get("lane")) == row["round"]]
    rows = [row for row in rows if all(row.get(name) == value for name, value in where.items())]
    return [row for row in rows if all(name not in row or row[name] == value for name, value in filters.items())]


def missing(declared: Chart | Figure, data: Data) -> bool:
    """Whether an optional chart or number has no values at all in this run."""
    if not declared.optional:
        return False
    column = declared.y if isinstance(declared, Chart) else declared.column
    names = list((column.of or {}).values()) if isinstance(column, Chosen) else [column]
    return not any(row.get(name) is not None for row in data.rows.get(declared.table, ()) for name in names)


def cells(plot: Plot, data: Data, view: View) -> list[Cell]:
    """The small charts of a plot, in order."""
    made = picks(plot, data, view)
    result = []
    for chart in plot.charts:
        if not missing(chart, data):
            result += cells_of(resolved(chart, made), plot, data, view)
    return result


def cells_of(chart: Chart, plot: Plot, data: Data, view: View) -> list[Cell]:
    """A chart's cells: one for each facet and, if colours distinguish series, for each lane."""
    rows = chosen_rows(plot, data, view, chart.table, chart.where, chart.at_round)
    known = [row for row in rows if row.get(chart.x) is not None]
    shown = [lane for lane in (data.lanes if view.lanes is None else view.lanes) if lane in data.lanes]
    if chart.facet != "lane":
        own = {row.get("lane") for row in data.rows.get(chart.table, ())}
        shown = [lane for lane in shown if lane in own]
    facets = distinct(data.rows.get(chart.table, ()), chart.facet) if chart.facet not in (None, "lane") else [None]
    split = chart.by is not None or chart.kind == "heat" or chart.facet == "lane"
    groups = [(lane,) for lane in shown] if split else [tuple(shown)]
    lines = lines_of(chart, plot, data, view)
    result = []
    for facet in facets:
        for lanes in groups:
            cell = [row for row in known if facet is None or row.get(chart.facet or "") == facet]
            result.append(Cell(chart, series_of(chart, cell, lanes, data, view), lines, facet, lanes))
    return result


def series_of(chart: Chart, rows: Sequence[Row], lanes: Sequence[str], data: Data, view: View) -> list[Series]:
    """The series of one cell: references first, then families, then lane by lane."""
    series: list[Series] = []
    if not chart.y:
        return series
    for reference in chart.references:
        own = [row for row in rows if row.get("reference") == reference.name and row.get(chart.y) is not None]
        series += [Series(own, chart.y, reference=reference)] if own else []
    if chart.through:
        series += families(chart, rows, lanes, data, view)
    values = distinct(data.rows.get(chart.table, ()), chart.by) if chart.by else [None]
    for lane in lanes:
        for value in values:
            for place, column in enumerate(filter(None, (chart.y, chart.y_also))):
                own = [
                    row
                    for row in rows
                    if row.get("lane") == lane
                    and row.get(column) is not None
                    and (chart.by is None or row.get(chart.by) == value)
                    and (chart.kind != "path" or row["round"] > 0)
                ]
                if chart.kind == "line" and own and all(isinstance(row[chart.x], (int, float)) for row in own):
                    own.sort(key=lambda row: row[chart.x])
                series += [Series(own, column, lane, value, bool(place))] if own else []
    return series


def families(chart: Chart, rows: Sequence[Row], lanes: Sequence[str], data: Data, view: View) -> list[Series]:
    """Lanes that differ in one number only, each at the selected round."""
    series = []
    members = data.rows.get(chart.through or "", ())
    for family in distinct(members, "family"):
        points = []
        for member in members:
            own = [row for row in rows if row.get("lane") == member["lane"] and row["round"] > 0]
            own = [row for row in own if row.get(chart.y) is not None and row["round"] <= (view.round or row["round"])]
            if member["family"] == family and member["lane"] in lanes and own:
                points.append(own[-1] | {"value": member["value"]})
        if len(points) > 1:
            series.append(Series(points, chart.y, family=family))
    return series


def lines_of(chart: Chart, plot: Plot, data: Data, view: View) -> list[Line]:
    """The reference lines of a chart: each value once, or once a lane."""
    made = picks(plot, data, view)
    lines = [] if chart.line is None else [Line(Rule(value=chart.line), chart.line, chart.line_label)]
    for rule in (resolved(rule, made) for rule in chart.rules):
        if rule.value is not None:
            lines.append(Line(rule, rule.value, rule.label))
            continue
        rows = chosen_rows(plot, data, view, rule.table, rule.where, rule.by_lane)
        if rule.first:
            rows = rows[:1]
        pairs = {(row.get("lane") if rule.by_lane else None, row.get(rule.column)): None for row in rows}
        for lane, value in pairs:
            if value is not None:
                lines.append(Line(rule, value, rule.label.replace("{}", precise(value, rule.unit)), lane))
    return lines


def numbers(plot: Plot, data: Data, view: View) -> list[Number]:
    """The big numbers of a plot."""
    made = picks(plot, data, view)
    lanes = data.lanes if view.lanes is None else view.lanes
    result = []
    for declared in plot.figures:
        if missing(declared, data):
            continue
        figure = resolved(declared, made)
        any_of = declared.column.of if isinstance(declared.column, Chosen) else None
        column = data.column(figure.table, figure.column or next(iter((any_of or {}).values()), ""))
        candidates = [
            row for row in chosen_rows(plot, data, view, figure.table, {}, True) if row.get("lane") is not None
        ]
        rows = {row["lane"]: row for row in reversed(candidates)}
        values = [(lane, row.get(figure.column) if (row := rows.get(lane)) else None) for lane in lanes]
        filling = list(dict.fromkeys(row[figure.fill] for row in rows.values())) if figure.fill else []
        fill = filling[0] if len(filling) == 1 else f"each lane’s {data.column(figure.table, figure.fill).title}"
        shared = figure.once and len(filling) < 2 and len({value for _, value in values}) == 1
        shown: list[tuple[str | None, Any]] = [(None, values[0][1])] if shared else list(values)
        if figure.fill and all(value is None for _, value in values):
            continue
        result.append(
            Number(
                (figure.title or column.title).replace("{}", str(fill)),
                column.unit,
                [(lane, value, formatted(value, column.unit)) for lane, value in shown],
                figure.wears or column.note,
            )
        )
    return result


def distinct(rows: Sequence[Row], name: str | None) -> list[Any]:
    """The values of a column, each once; numbers in order, words as they come."""
    values = list(dict.fromkeys(row.get(name or "") for row in rows if row.get(name or "") is not None))
    return sorted(values) if all(isinstance(value, (int, float)) for value in values) else values
