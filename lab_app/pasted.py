"""Rows of facts out of pasted text: from a spreadsheet, a CSV or JSON file, or lines typed elsewhere."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from core.errors import UserError
from core.facts.source import MOST
from core.facts.typed import COLUMNS

ORDER = ("subject", "prompt", "target", "truth")  # of columns without a header
WIDEST = 1 << 20  # characters of one cell that the CSV reader accepts before we complain about it


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
        raise UserError(f"{len(rows):,} rows pasted; at most {MOST:,} facts fit one run. Paste a part of them.")
    return rows


def _json(text: str) -> list[dict[str, Any]]:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        return _lines(text, error)
    if isinstance(data, dict):
        data = data.get("items", [data])
    return _objects(data)


def _lines(text: str, first: json.JSONDecodeError) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as error:
                line_at, message = (number, error.msg) if rows else (first.lineno, first.msg)
                raise UserError(f"Line {line_at} is not JSON: {message}.") from None
    return _objects(rows)


def _objects(data: Any) -> list[dict[str, Any]]:
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise UserError('Expected a list of facts: [{"subject": …, "prompt": …, "target": …}, …].')
    return data


def _table(text: str) -> list[dict[str, Any]]:
    first = text.splitlines()[0]
    separator = next((mark for mark in "\t;," if mark in first), None)
    if separator is None:
        raise UserError("One column only: separate subject, prompt and new answer by tabs, semicolons or commas.")
    previous = csv.field_size_limit(WIDEST)
    try:
        table = [row for row in csv.reader(io.StringIO(text), delimiter=separator) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise UserError(f"The pasted table cannot be read: {error}.") from None
    finally:
        csv.field_size_limit(previous)
    header = [cell.strip().lower() for cell in table[0]]
    if "subject" in header:
        unknown = [name for name in header if name and name not in COLUMNS]
        if unknown:
            raise UserError(f'Column "{unknown[0]}" is not one of a fact’s: {", ".join(COLUMNS)}.')
        names, table = header, table[1:]
    else:
        names = list(ORDER)
    for number, row in enumerate(table, start=1):
        if len(row) > len(names) and any(cell.strip() for cell in row[len(names) :]):
            raise UserError(
                f"Row {number} has {len(row)} cells, at most {len(names)} are known ({', '.join(names)}); "
                "put text that holds the separator in double quotes."
            )
    return [
        {name: cell.strip() for name, cell in zip(names, row, strict=False) if name and cell.strip()} for row in table
    ]
