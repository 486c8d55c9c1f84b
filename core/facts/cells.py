"""Text in cells and fields, and error messages for cells that cannot be read."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass
from typing import Any

from core.errors import clipped, one_line

LONGEST = 2_000  # characters of one cell: a prompt longer than this is a pasted document, not a fact

LONGEST_BITS = 6_643  # of a whole number with as many digits: more cannot be written as text
LONGEST_MESSAGE = 300  # characters of what is wrong with a cell: a row has many


@dataclass(frozen=True)
class Problem:
    """What is wrong, and where: `row` counts from 1; `column` is a field of that row, or "" for the whole row."""

    row: int
    column: str
    message: str

    def __str__(self) -> str:
        return one_line(f"row {self.row}{', ' + self.column if self.column else ''}: {self.message}")


class CellError(ValueError):
    """A cell that cannot be read: raised while a row is parsed, turned into a `Problem` with its row."""

    def __init__(self, column: str, message: str):
        super().__init__(clipped(one_line(message), LONGEST_MESSAGE))
        self.column = clipped(one_line(column), LONGEST_MESSAGE)


def is_filled(value: Any) -> bool:
    """Whether a cell has content. None, NaN (an empty cell in a table), blank text (NULs count as blank, since
    `clean` removes them) and empty lists do not."""
    if value is None or value != value:
        return False
    return bool(value.replace("\x00", "").strip()) if isinstance(value, str) else value in (0, False) or bool(value)


def clean(value: Any, column: str, longest: int = LONGEST) -> str:
    """A text, or a number as text, in NFC, without NULs and surrounding spaces; "" for an empty cell."""
    if not is_filled(value):
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise CellError(column, f"must be text, not {_kind(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise CellError(column, f'{value} is not a finite number; put it in "quotes" if the text is meant')
    if isinstance(value, int) and value.bit_length() > LONGEST_BITS:
        raise CellError(column, f"a number of more than {LONGEST:,} digits; give a shorter one")
    text = unicodedata.normalize("NFC", str(value)).replace("\x00", "").strip()
    if len(text) > longest:
        raise CellError(column, f"{len(text):,} characters: at most {longest:,}")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise CellError(column, "holds half of a character (a lone surrogate)")
    return text


def _kind(value: Any) -> str:
    kinds = {list: "a list", tuple: "a list", dict: "an object", bool: "true or false"}
    return kinds.get(type(value), type(value).__name__)
