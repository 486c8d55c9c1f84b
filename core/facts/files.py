"""Rows of a file: CSV, JSON, JSONL or Parquet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.errors import path as place
from core.facts.cells import CellError, one_line
from core.facts.tables import read_table
from core.json_text import JsonError, Parsed, Unfit, loads, unfit

LARGEST = 256 * 2**20  # bytes
SUFFIXES = (".csv", ".json", ".jsonl", ".parquet")


def read_file(path: Path) -> list[Any]:
    """The rows of a file, whatever their content; the suffix determines the format.

    A row that cannot be read (a line of JSONL, a CSV row with too many cells, an object with a duplicate field) becomes
    a `CellError` in its place, so that the other rows remain usable. Raises `UserError` with the file's name for
    anything else.
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
    text = path.read_text(encoding="utf-8-sig")
    try:
        rows = read_table(text).rows
    except CellError as error:
        raise UserError(f"{path}, {error}" if str(error).startswith("line") else f"{path}: {error}") from None
    return [CellError("", f"line {line} {row}") if isinstance(row, str) else row for line, row in rows]


def _json(path: Path) -> list[Any]:
    try:
        parsed = Parsed(path.read_text(encoding="utf-8-sig"), nan=True)
    except JsonError as error:
        hint = "; one object a line is a .jsonl file" if "Extra data" in str(error) else ""
        if error.broken:
            raise UserError(f"{path}, line {error.line}: {error}{hint}") from None
        raise UserError(f"{path}: JSON that cannot be read ({error})") from None
    data = parsed.value
    if isinstance(data, Unfit):
        raise UserError(f"{path}: JSON that cannot be read ({data.message})")
    rows = data.get("items") if isinstance(data, dict) else data
    if not isinstance(rows, list):
        raise UserError(f'{path}: expected a list of facts, or {{"items": [facts]}}')
    return [fit(row) for row in rows] if parsed.flawed else rows


def fit(row: Any) -> Any:
    """A row of parsed JSON, or what is wrong with it as a `CellError`."""
    problem = unfit(row)
    return row if problem is None else CellError(place(problem[0]), problem[1])


def _jsonl(path: Path) -> list[Any]:
    # Only line feeds end a line here: JSON text may hold the other separators that `splitlines` knows.
    lines = enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1)
    return [_line(number, line) for number, line in lines if line.strip()]


def _line(number: int, line: str) -> Any:
    try:
        return loads(line, nan=True)
    except JsonError as error:
        return CellError("", f"line {number}: {error}")


def _parquet(path: Path) -> list[Any]:
    from pyarrow import ArrowException, parquet  # slow to import, and rarely wanted

    try:
        names = parquet.read_schema(path).names
        if twice := [name for name in names if names.count(name) > 1]:
            raise UserError(f'{path}: two columns are called "{twice[0]}"; rename or remove one')
        return parquet.read_table(path).to_pylist()
    except (ArrowException, OverflowError) as error:
        raise UserError(f"{path}: not a Parquet file that can be read ({one_line(str(error))[:200]})") from None
