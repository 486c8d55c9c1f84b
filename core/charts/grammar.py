"""The declarations of charts: which columns of a table are drawn, how, and which of them a viewer can choose.

A `Plot` is one picture: a chart or several side by side, the choices above it and its big numbers. A field that depends
on a choice is a `Chosen`. `select.py` finds the rows and series; `plot.py` and the browser's renderer draw them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, Literal

Kind = Literal["line", "bar", "scatter", "heat", "path", "moved"]


@dataclass(frozen=True)
class Chosen:
    """The value of a field under each option of a choice. Without `of` it is the option itself, the name of a
    column. The field is empty for an option that `of` lacks."""

    choice: str
    of: Mapping[str, Any] | None = None


Choosable = Any  # a string, or a `Chosen` until `select.resolved` puts the choice in: types cannot tell which


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Reference lines across a chart, at a `value` or at each value of a `column` of a `table`.

    `axis`: "y" is a horizontal line, "x" a vertical one. `where`: only rows with these values. `shade`: fills the area
    up to the line instead. `by_lane`: a line for each lane, in its colour; `first`: only the first row's, when all are
    equal. `label` is written beside it: "{}" is the value, in `unit`.
    """

    axis: Literal["x", "y"] = "y"
    value: int | float | None = None
    table: str = ""
    column: Choosable = ""
    where: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    unit: str = ""
    dash: str = "dot"
    shade: bool = False
    by_lane: bool = False
    first: bool = False


@dataclass(frozen=True, kw_only=True)
class Reference:
    """How rows are drawn that belong to no lane: those with this name in the column `reference`. `label`: write the
    name at the line's beginning, with its value where it never changes."""

    name: str
    dash: str = "solid"
    width: int | float = 1.5
    label: bool = False


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A drawing of one table: `x` and `y` are columns, `by` a column that splits the rows into series, `facet` one that
    splits them into small charts side by side.

    A heat map has the column `z` for its colour. `y_low` and `y_high` are columns with the ends of an interval. `line`
    is a y at which a reference line is drawn, named by `line_label` (a control, a chance level). `unit` is that of y
    (of z in a heat map), a key of `core.charts.table.UNITS`, if its column has none; titles name other units.

    `y_also` is a second column on the same axes, dotted. `at_round`: only the rows of each lane's selected round,
    instead of its history. `where`: only rows with these values. `floor`: zeros are drawn at the bottom of a
    logarithmic axis. A "path" connects its points in their order, after round 0; "moved" draws lines from (`x_from`,
    `y_from`) to (x, y). `through` is a table of families of lanes, which a dotted line connects at the selected round;
    `hollow` is a table of lanes that are drawn with hollow marks. `smooth`: a line without marks. `optional`: left out
    if a run has none of these numbers.
    """

    table: str
    kind: Kind
    x: Choosable
    y: Choosable
    title: str
    x_title: str
    y_title: Choosable
    by: str | None = None
    facet: str | None = None
    z: str | None = None
    y_low: Choosable = None
    y_high: Choosable = None
    text: str | None = None
    log_x: bool = False
    log_y: bool = False
    line: int | float | None = None
    line_label: str = ""
    unit: Choosable = ""
    y_also: str | None = None
    x_from: str | None = None
    y_from: str | None = None
    through: str | None = None
    hollow: str | None = None
    at_round: bool = False
    where: Mapping[str, Any] = field(default_factory=dict)
    floor: bool = False
    smooth: bool = False
    optional: bool = False
    rules: tuple[Rule, ...] = ()
    references: tuple[Reference, ...] = ()

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> Chart:
        """The inverse of `as_dict` for charts without rules and references, such as those of a study."""
        return cls(**written)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; fields that only some charts have are left out where they are not set."""
        values = asdict(self)
        return {name: value for name, value in values.items() if name in ALWAYS or value != asdict_default(name)}


ALWAYS = frozenset(
    ("table", "kind", "x", "y", "title", "x_title", "y_title", "by", "facet", "z", "y_low", "y_high", "text")
    + ("log_x", "log_y", "line", "line_label")
)


def asdict_default(name: str) -> Any:
    """The default of a chart's field, as `asdict` writes it."""
    (entry,) = (entry for entry in fields(Chart) if entry.name == name)
    return entry.default if entry.default_factory is MISSING else entry.default_factory()


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A choice above a plot. `options` are (key, title) each, the first one selected at the start.

    With a `column`, only rows with the chosen value are drawn, and without `options` these are the column's values.
    `prefix`: the options are the table's columns whose names begin with it. `shared`: the choice is the same on all
    plots of a page. `needs`: options that are offered only where the first chart's table has a value in a column.
    """

    name: str
    label: str
    options: tuple[tuple[str, str], ...] = ()
    column: str = ""
    prefix: str = ""
    shared: bool = False
    needs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A big number above a plot, for each lane at the selected round: a `column` of a `table`, in `unit`. `wears`:
    how it was measured (default: the column's note; its unit and title are defaults too). `of`: the column with
    the count of which it is a share. `fill`: the column whose value replaces "{}" in the title. `once`: shown
    once if all lanes have the same value."""

    title: Choosable = ""
    table: str
    column: Choosable
    wears: Choosable = ""
    of: str = ""
    fill: str = ""
    once: bool = False
    optional: bool = False


@dataclass(frozen=True, kw_only=True)
class Plot:
    """Charts side by side, with the choices that apply to all of them."""

    charts: tuple[Chart, ...]
    choices: tuple[Choice, ...] = ()
    figures: tuple[Figure, ...] = ()
    side_by_side: bool = False  # each number stands above its chart

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"charts": [chart.as_dict() for chart in self.charts]}
