"""Tables as text, pasted or in a file: their separator, their header and their rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from core.facts.cells import CellError
from core.facts.fact import SLOT
from core.facts.typed import COLUMNS

SEPARATORS = "\t;,"
ORDER = ("subject", "prompt", "target", "truth")  # of columns without a header
LIMIT = "field limit"  # in what the CSV reader says of a cell of more than 131,072 characters


@dataclass(frozen=True)
class Table:
    """Named columns, and rows as `(line, cells)`: cells by their column, "" where a row ends early, or a text that says
    what is wrong with the row."""

    names: tuple[str, ...]
    rows: list[tuple[int, dict[str, str] | str]]


def read_table(text: str, pasted: bool = False) -> Table:
    """A table separated by tabs, semicolons or commas. Raises `CellError` if the text is not a table.

    A first line that names columns is a header, in any letter case; without one the columns are `ORDER`. In ambiguous
    cases the first line of a file is a header, and that of a pasted text is a row. A column without a name that has
    content is named by its number.
    """
    text = text.removeprefix("\ufeff")
    separator = _separator(text)
    records = _records(text, separator)
    if not records:
        return Table((), [])
    first = [cell.strip() for cell in records[0][1]]
    headed = _named(first) > 0 or not (pasted or _fact(first))
    names = tuple(map(_column, first)) if headed else ORDER
    if twice := [name for name in names if name and names.count(name) > 1]:
        one, other = [number for number, name in enumerate(names, start=1) if name == twice[0]][:2]
        raise CellError("", f'columns {one} and {other} are both called "{twice[0]}"; rename or remove one')
    return Table(names, [(line, _cells(names, cells)) for line, cells in records[headed:]])


def _cells(names: Sequence[str], cells: Sequence[str]) -> dict[str, str] | str:
    if any(cell.strip() for cell in cells[len(names) :]):
        known = ", ".join(name or f"column {number}" for number, name in enumerate(names, start=1))
        return (
            f"has {len(cells)} cells, more cells than columns ({known}); put text that holds the separator in double"
            " quotes"
        )
    row = {name: "" for name in names if name}
    for number, (name, cell) in enumerate(zip(names, cells, strict=False), start=1):
        if name or cell.strip():
            row[name or f"column {number}"] = cell
    return row


def _separator(text: str) -> str:
    """The separator that splits the first line into known columns, or else into the most cells."""

    def cut(mark: str) -> tuple[int, int]:
        first = next(iter(_records(text, mark, most=1)), (1, []))[1]
        return _named(first), len(first)

    return max(SEPARATORS, key=cut) if text.strip() else ","


def _records(text: str, separator: str, most: int | None = None) -> list[tuple[int, list[str]]]:
    """(first line, cells) of each record that is not an empty line, of the first `most` records.

    In tables copied from a spreadsheet, separated by tabs, quotes may be part of the text: they are unchanged.
    """
    try:
        return _split(text, separator, most, csv.QUOTE_MINIMAL)
    except csv.Error as error:
        problem = error
    if separator == "\t":
        try:
            return _split(text, separator, most, csv.QUOTE_NONE)
        except csv.Error as error:
            problem = error
    if most is not None:
        return []
    raise _csv_error(problem, text, separator)


def _split(text: str, separator: str, most: int | None, quoting: Literal[0, 3]) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=None), delimiter=separator, strict=True, quoting=quoting)
    records: list[tuple[int, list[str]]] = []
    line = 1
    for cells in reader:
        if cells:
            records.append((line, cells))
        line = reader.line_num + 1
        if len(records) == most:
            break
    return records


def _csv_error(error: csv.Error, text: str, separator: str) -> CellError:
    """The CSV reader's error, with the line at which the record begins."""
    reader = csv.reader(io.StringIO(text, newline=None), delimiter=separator, strict=True)
    line = 1
    try:
        for _ in reader:
            line = reader.line_num + 1
    except csv.Error:
        pass
    message = str(error)
    if "end of data" in message:
        advice = "a double quote is opened and never closed"
    elif "expected after" in message:
        advice = 'text goes on after a closing double quote; inside quoted text, write a quote twice ("")'
    elif LIMIT in message:
        advice = f"a cell of more than {csv.field_size_limit():,} characters; is a double quote not closed?"
    else:
        advice = "save the table anew"
    return CellError("", f"line {line}: not CSV ({advice})")


def _column(name: str) -> str:
    return name.lower() if name.lower() in COLUMNS else name


def _named(cells: Sequence[str]) -> int:
    """How many of our columns a line names: none unless the subject is among them, or two."""
    known = [cell.strip().lower() for cell in cells if cell.strip().lower() in COLUMNS]
    return len(known) if "subject" in known or len(known) > 1 else 0


def _fact(cells: Sequence[str]) -> bool:
    """Whether a line looks like a fact: its second cell has a slot, or names the first."""
    return 3 <= len(cells) <= len(ORDER) and (SLOT in cells[1] or len(cells[0]) > 0 and cells[0] in cells[1])
