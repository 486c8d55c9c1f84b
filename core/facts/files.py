"""Rows out of a file: CSV, JSON, JSONL or Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.facts.cells import CellError

LARGEST = 256 * 2**20  # bytes
SUFFIXES = (".csv", ".json", ".jsonl", ".parquet")


def read_file(path: Path) -> list[Any]:
    """The rows of a file, whatever they hold; the suffix says how it is read.

    A line that cannot be read alone (of JSONL, or a CSV row with too many cells) comes as a `CellError` in its place,
    so that the rows around it can still be had. Raises `UserError` naming the file for anything else.
    """
    readers: dict[str, Callable[[Path], list[Any]]] = dict(zip(SUFFIXES, (_csv, _json, _jsonl, _parquet), strict=True))
    suffix = path.suffix.lower()
    if suffix not in readers:
        raise UserError(f"{path}: facts are read from .csv, .json or .jsonl files (or .parquet); rename or convert it")
    try:
        if not path.is_file():
            raise UserError(f"{path}: no such file; give the path of a file of facts ({', '.join(SUFFIXES)})")
        size = path.stat().st_size
        if size > LARGEST:
            raise UserError(f"{path}: {size / 2**20:.0f} MiB is more than the limit of {LARGEST // 2**20} MiB")
        return readers[suffix](path)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None


def _csv(path: Path) -> list[Any]:
    rows: list[Any] = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        try:
            for row in reader:
                rows.append(_wide(reader.line_num) if None in row else row)
        except csv.Error as error:
            raise UserError(f"{path}, line {reader.line_num}: not CSV ({error})") from None
    return rows


def _wide(line: int) -> CellError:
    return CellError("", f'line {line}: more cells than columns; put text that holds commas in "quotes"')


def _json(path: Path) -> list[Any]:
    text = path.read_text(encoding="utf-8-sig")
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        hint = "; one object a line is a .jsonl file" if error.msg == "Extra data" else ""
        raise UserError(f"{path}, line {error.lineno}: not JSON ({error.msg}){hint}") from None
    except (RecursionError, ValueError) as error:
        raise UserError(f"{path}: JSON that cannot be read ({error})") from None
    rows = data.get("items") if isinstance(data, dict) else data
    if not isinstance(rows, list):
        raise UserError(f'{path}: expected a list of facts, or {{"items": [facts]}}')
    return rows


def _jsonl(path: Path) -> list[Any]:
    # Only line feeds end a line here: JSON text may hold the other separators that `splitlines` knows.
    lines = enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1)
    return [_line(number, line) for number, line in lines if line.strip()]


def _line(number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        return CellError("", f"line {number}: not JSON ({error.msg})")
    except (RecursionError, ValueError) as error:
        return CellError("", f"line {number}: JSON that cannot be read ({error})")


def _parquet(path: Path) -> list[Any]:
    from pyarrow import ArrowException, parquet  # slow to import, and rarely wanted

    try:
        return parquet.read_table(path).to_pylist()
    except ArrowException as error:
        raise UserError(f"{path}: not a Parquet file ({str(error).splitlines()[0]})") from None
