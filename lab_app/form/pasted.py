"""Rows of facts out of pasted text: from a spreadsheet, a CSV or JSON file, or lines typed elsewhere."""

from __future__ import annotations

from typing import Any

from core.errors import UserError, path
from core.facts.cells import CellError
from core.facts.source import MOST
from core.facts.tables import SEPARATORS, read_table
from core.facts.typed import COLUMNS
from core.json_text import JsonError, Parsed, unfit


def parse(text: str) -> list[dict[str, Any]]:
    """Rows in the columns of a fact. Raises `UserError` saying what to paste instead.

    JSON (a list, or an object a line) is told by its first character; anything else is a table, separated by tabs,
    semicolons or commas. A first line that names a column is a header.
    """
    text = text.lstrip("\ufeff").strip()
    if not text:
        raise UserError("Nothing pasted: copy rows from a spreadsheet, or lines of JSON, and paste them here.")
    rows = _json(text) if text[0] in "[{" else _table(text)
    if len(rows) > MOST:
        raise UserError(f"{len(rows):,} rows pasted; a run takes at most {MOST:,} facts. Paste a part of them.")
    return rows


def _json(text: str) -> list[dict[str, Any]]:
    try:
        data = Parsed(text, nan=True).value
    except JsonError as error:
        if error.broken:
            return _lines(text, error)
        raise UserError(f"The pasted JSON is {error}; paste a list of facts.") from None
    if isinstance(data, dict):
        data = data.get("items", [data])
    return _objects(data)


def _lines(text: str, first: JsonError) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                rows.append(Parsed(line, nan=True).value)
            except JsonError as error:
                line_at, told = (number, error) if rows else (first.line, first)
                raise UserError(f"Line {line_at} is {told}.") from None
    return _objects(rows)


def _objects(data: Any) -> list[dict[str, Any]]:
    for number, row in enumerate(data if isinstance(data, list) else [data], start=1):
        if found := unfit(row):
            where, message = found
            raise UserError(f"Row {number}{f', {path(where)}' if where else ''}: {message}.")
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise UserError('Expected a list of facts: [{"subject": …, "prompt": …, "target": …}, …].')
    return data


def _table(text: str) -> list[dict[str, Any]]:
    try:
        table = read_table(text, pasted=True)
    except CellError as error:
        raise UserError(f"The pasted table cannot be read: {error}.") from None
    if len(table.names) == 1 or not any(mark in text.splitlines()[0] for mark in SEPARATORS):
        raise UserError("One column only: separate subject, prompt and new answer by tabs, semicolons or commas.")
    found = []
    for number, (_, row) in enumerate(table.rows, start=1):
        if isinstance(row, str):
            raise UserError(f"Row {number} {row}.")
        found.append({name: cell.strip() for name, cell in row.items() if cell.strip()})
    unknown = [name for row in found for name in row if name not in COLUMNS]
    unknown += [name for name in table.names if name and name not in COLUMNS]
    if unknown:
        raise UserError(f'Column "{unknown[-1]}" is not one of a fact’s: {", ".join(COLUMNS)}.')
    return [row for row in found if row]
