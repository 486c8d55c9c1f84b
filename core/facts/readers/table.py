"""Facts from a CSV, JSON or JSONL file with the columns of `core.facts.typed.COLUMNS`."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import UserError

LARGEST = 64 * 2**20  # bytes


def read_table(path: Path) -> list[Mapping[str, Any]]:
    """The rows of a file; the suffix says how it is read. Raises `UserError` naming file, line and reason."""
    readers = {".csv": _csv, ".json": _json, ".jsonl": _jsonl}
    if path.suffix.lower() not in readers:
        raise UserError(f"{path}: facts are read from .csv, .json or .jsonl files; rename or convert it")
    if not path.is_file():
        raise UserError(f"{path}: no such file; give the path of a CSV, JSON or JSONL file of facts")
    if path.stat().st_size > LARGEST:
        size = path.stat().st_size / 2**20
        raise UserError(f"{path}: {size:.0f} MiB is more than the limit of {LARGEST // 2**20} MiB")
    try:
        return readers[path.suffix.lower()](path)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None


def _csv(path: Path) -> list[Mapping[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows, start=2):
        if None in row:
            raise UserError(f'{path}, line {number}: more cells than columns; put text that holds commas in "quotes"')
    return rows


def _json(path: Path) -> list[Mapping[str, Any]]:
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {error.lineno}: not JSON ({error.msg})") from None
    rows = data.get("items") if isinstance(data, dict) else data
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f'{path}: expected a list of facts, or {{"items": [facts]}}')
    return rows


def _jsonl(path: Path) -> list[Mapping[str, Any]]:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}, line {number}: not JSON ({error.msg})") from None
        if not isinstance(row, dict):
            raise UserError(f"{path}, line {number}: expected an object with the fields of a fact")
        rows.append(row)
    return rows
