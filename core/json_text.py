"""Strict parsing of JSON from outside; errors name the place.

Python's parser accepts repeated keys (the last one wins), infinite numbers (1e999, Infinity) and numbers of thousands
of digits. These are errors here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from core.errors import path

LONGEST_NUMBER = 2_000  # digits
SHOWN = 24  # characters of a number in a message


class JsonError(ValueError):
    """One line about an error in a JSON text. If it is not JSON, `line` and `column` name the place; otherwise the
    message begins with the place inside.

    `broken`: whether the text is not JSON at all, as opposed to JSON with a value that is not allowed.
    """

    def __init__(self, message: str, line: int = 0, column: int = 0, broken: bool = False):
        super().__init__(message)
        self.line, self.column, self.broken = line, column, broken


@dataclass(frozen=True)
class Unfit:
    """Replaces a value that is not allowed in parsed JSON, and says why."""

    message: str


@dataclass
class Parsed:
    """The `value` of a text; if `flawed`, it contains an `Unfit`. With `nan`, NaN is allowed: tables write it for an
    empty cell."""

    text: str
    nan: bool = False
    value: Any = field(init=False)
    flawed: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        hooks: dict[str, Any] = {"parse_int": self._int, "parse_float": self._float, "parse_constant": self._constant}
        try:
            self.value = json.loads(self.text, object_pairs_hook=self._object, **hooks)
        except json.JSONDecodeError as error:
            raise JsonError(f"not JSON ({error.msg})", error.lineno, error.colno, broken=True) from None
        except RecursionError:
            raise JsonError("nested too deeply") from None

    def _object(self, pairs: list[tuple[str, Any]]) -> Any:
        value = dict(pairs)
        if len(value) == len(pairs):
            return value
        names = [name for name, _ in pairs]
        return self._unfit(f'"{next(name for name in names if names.count(name) > 1)}" is given twice; keep one')

    def _int(self, digits: str) -> Any:
        if len(digits) <= LONGEST_NUMBER:
            return int(digits)
        return self._unfit(f"a number of {len(digits):,} digits; give a shorter one")

    def _float(self, digits: str) -> Any:
        if len(digits) <= LONGEST_NUMBER and math.isfinite(number := float(digits)):
            return number
        return self._unfit(
            f'{shortened(digits)} is larger than numbers can be; give a smaller one, or text in "quotes"'
        )

    def _constant(self, name: str) -> Any:
        if name == "NaN" and self.nan:
            return math.nan
        return self._unfit(f'{name} is no number in JSON; give a finite one, null for nothing, or text in "quotes"')

    def _unfit(self, message: str) -> Unfit:
        self.flawed = True
        return Unfit(message)


def loads(text: str, nan: bool = False) -> Any:
    """The value of a JSON text. Raises `JsonError`; for a forbidden value with its place: `lanes[0].tau: …`."""
    parsed = Parsed(text, nan)
    if parsed.flawed and (problem := unfit(parsed.value)):
        where, message = problem
        raise JsonError(f"{path(where)}: {message}" if where else message)
    return parsed.value


def unfit(value: Any) -> tuple[Sequence[int | str], str] | None:
    """(place, message) of the first `Unfit` in a parsed value; None if there is none."""
    pending: list[tuple[tuple[int | str, ...], Any]] = [((), value)]
    while pending:
        where, part = pending.pop()
        if isinstance(part, Unfit):
            return where, part.message
        parts = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        pending += [((*where, name), child) for name, child in reversed(list(parts))]
    return None


def shortened(digits: str) -> str:
    """A number as it was written, cut short."""
    return digits if len(digits) <= SHOWN else f"{digits[:SHOWN]}…"
