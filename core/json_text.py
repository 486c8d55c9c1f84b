"""JSON from outside: what Python would read in part, or as something else, is told with its place.

A key that is given twice (the last one would win), a number without end (1e999, Infinity) and one of thousands of
digits are no values that anybody meant.
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
    """What is wrong, in one line: with its `line` and `column` where it is no JSON at all, else after its place inside.

    `broken`: whether the text is no JSON, and not merely something that must not be in it.
    """

    def __init__(self, message: str, line: int = 0, column: int = 0, broken: bool = False):
        super().__init__(message)
        self.line, self.column, self.broken = line, column, broken


@dataclass(frozen=True)
class Unfit:
    """Stands in parsed JSON where something cannot be kept, and says why."""

    message: str


@dataclass
class Parsed:
    """`value` of a text, with an `Unfit` in it where `flawed`. With `nan`, NaN is a value: of a cell that holds
    nothing, as tables write it."""

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
    """The value of a JSON text; raises `JsonError`, for what must not be in it with its place: `lanes[0].tau: …`."""
    parsed = Parsed(text, nan)
    if parsed.flawed and (problem := unfit(parsed.value)):
        where, message = problem
        raise JsonError(f"{path(where)}: {message}" if where else message)
    return parsed.value


def unfit(value: Any) -> tuple[Sequence[int | str], str] | None:
    """(the place, the message) of the first `Unfit` in a parsed value."""
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
