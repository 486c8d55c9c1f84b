"""What a study found: named tables, how they are best drawn, and the protocol that the numbers follow. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from core.measures.measurement import rounded

DIGITS = 6
NOTHING_LEFT = "nothing of it could be measured; the notes say what was left out"


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A drawing of one table: `x` and `y` are columns, `by` a column that parts the rows into series, `facet` one that
    parts them into small charts side by side.

    A heat map has the column `z` for its colour. `y_low` and `y_high` are columns with the ends of an interval. `line`
    is a y at which a reference line is drawn, named by `line_label` (a control, a chance level). Units go in titles.
    """

    table: str
    kind: Literal["line", "bar", "scatter", "heat"]
    x: str
    y: str
    title: str
    x_title: str
    y_title: str
    by: str | None = None
    facet: str | None = None
    z: str | None = None
    y_low: str | None = None
    y_high: str | None = None
    text: str | None = None
    log_x: bool = False
    log_y: bool = False
    line: float | None = None
    line_label: str = ""


@dataclass(frozen=True, kw_only=True)
class Found:
    """`tables` by name, each a list of rows with the same columns; `charts` of them; `protocol`: what was measured on
    what and when, in a sentence or two; `notes`: what was left out, and why; `empty`: why a table has no rows, by its
    name, said of those that have none."""

    tables: Mapping[str, list[dict[str, Any]]]
    charts: list[Chart] = field(default_factory=list)
    protocol: str = ""
    notes: list[str] = field(default_factory=list)
    empty: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: numbers rounded, NaN and infinities as None; a table without rows has its reason in `empty`."""
        why = {name: self.empty.get(name, NOTHING_LEFT) for name, rows in self.tables.items() if not rows}
        return rounded(asdict(self) | {"empty": why}, DIGITS)
