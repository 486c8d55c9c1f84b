"""Tables for drawing: rows with named columns, each with its unit, and the compact blocks in which they are sent.

A *block* is a part of a table in few bytes: `{"table": "drift", "layer": 3, "k": [1, 2], "rk": [.1, .2]}` is two rows.
Lists are columns of equal length; other values apply to all rows of the block.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

Row = dict[str, Any]
Block = dict[str, Any]
Rows = Mapping[str, Sequence[Row]]  # rows by the name of their table
DIGITS = 4  # significant digits of a number that is drawn
UNITS = {  # the sign of each unit, and by what a stored number is multiplied to be shown in it
    "": ("", 1),
    "count": ("", 1),
    "cosine": ("", 1),
    "correlation": ("", 1),
    "share": ("%", 100),
    "percent": ("%", 1),
    "seconds": ("s", 1),
    "degrees": ("°", 1),
    "nats": ("nats", 1),
    "index": ("", 1),
    "text": ("", 1),
}


@dataclass(frozen=True)
class Column:
    """A column of a table: its name in the table and in CSV, its title on the page, the unit of its numbers (a key
    of `UNITS`), and how they were measured. A share is stored as 0..1."""

    name: str
    title: str = ""
    unit: str = ""
    note: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


LANE, ROUND, EDITS, LAYER = (
    Column("lane", "lane", "text"),
    Column("round", "round", "index"),
    Column("edits", "edits so far", "count"),
    Column("layer", "layer", "index"),
)


def unpacked(blocks: Iterable[Mapping[str, Any]], **common: Any) -> dict[str, list[Row]]:
    """The rows of these blocks by table, each with the values in `common`. Raises `ValueError` if the lists of a
    block differ in length."""
    tables: dict[str, list[Row]] = {}
    for block in blocks:
        lists = {name: value for name, value in block.items() if isinstance(value, (list, tuple))}
        scalars = {name: value for name, value in block.items() if name != "table" and name not in lists}
        count = {len(values) for values in lists.values()} or {1}
        if len(count) > 1:
            raise ValueError(f"the columns of a block of {block['table']!r} have lengths {sorted(count)}")
        tables.setdefault(block["table"], []).extend(
            {**common, **scalars, **{name: values[i] for name, values in lists.items()}} for i in range(*count)
        )
    return tables


def packed(table: str, rows: Sequence[Row], **common: Any) -> Block:
    """Rows as one block; a row that lacks a column has None there.

    >>> packed("layers", [{"layer": 3, "ls": .9}, {"layer": 4}], edits=100)
    {'table': 'layers', 'edits': 100, 'layer': [3, 4], 'ls': [0.9, None]}
    """
    names = dict.fromkeys(name for row in rows for name in row)
    return {"table": table} | common | {name: [row.get(name) for row in rows] for name in names}


def joined(parts: Iterable[Rows]) -> dict[str, list[Row]]:
    """The rows of several dictionaries of tables, table by table, in order."""
    tables: dict[str, list[Row]] = {}
    for part in parts:
        for name, rows in part.items():
            tables.setdefault(name, []).extend(rows)
    return tables


def formatted(value: Any, unit: str = "") -> str:
    """A number as the page writes it, without the sign of its unit.

    >>> formatted(.974, "share"), formatted(12, "count"), formatted(.0312), formatted(.00012), formatted(None)
    ('97', '12', '0.03', '0.0001', '–')
    """
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    value = value * UNITS[unit][1]
    if unit in ("count", "index", "share", "percent"):
        whole = math.floor(value + 0.5)
        return f"{whole:,}" if unit == "count" else f"{whole}"
    if abs(value) < 1e-6:
        return "0"
    return f"{float(f'{value:.1g}'):g}" if abs(value) < 0.005 else f"{value:.2f}"


def precise(value: Any, unit: str = "") -> str:
    """A number with its unit, for a sentence or a label.

    >>> precise(.375, "share"), precise(1.0, "share"), precise(2.5, "seconds")
    ('37.5 %', '100 %', '2.5 s')
    """
    if not isinstance(value, (int, float)):
        return formatted(value, unit)
    sign, factor = UNITS[unit]
    digits = 0 if value > 0.995 or value < 0.0005 else 1
    text = f"{value * factor:.{digits}f}" if unit == "share" else f"{value * factor:.4g}"
    return f"{text} {sign}".strip()


def short(value: Any, digits: int = DIGITS) -> Any:
    """A number with few significant digits (None if it cannot be drawn); lists of them likewise."""
    if isinstance(value, (list, tuple)):
        return [short(item, digits) for item in value]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value if isinstance(value, str) else None
    if not math.isfinite(value):
        return None
    return value if isinstance(value, int) else float(f"{value:.{digits}g}")


def thinned(count: int, most: int = 40) -> list[int]:
    """Positions 0 … count-1, at most `most` of them, evenly spaced on a logarithmic axis; first and last included."""
    if count <= most:
        return list(range(count))
    steps = {round(math.exp(math.log(count) * i / (most - 1))) - 1 for i in range(most)}
    return sorted(steps | {0, count - 1})


def picked(values: Sequence[Any], positions: Sequence[int]) -> list[Any]:
    """The values at these positions, shortened; positions past the end are left out."""
    return [short(values[i]) for i in positions if i < len(values)]
