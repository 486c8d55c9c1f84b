"""What a panel of the page is: its words, and how events become the small rows that it draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Payload = dict[str, Any]
DIGITS = 4  # significant digits of a number that is drawn


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One plot with its explanation.

    `start` turns the started event into the panel's first row, `row` a measured event into one more; None: nothing
    to draw. Rows are small (a few KB a round for all panels) and never change once sent. `protocol` says how the
    numbers were taken; `explanation` is two sentences of HTML, `equation` MathML;
    `promise` stands where the plot will be. `wide` spans both columns.
    """

    key: str
    title: str
    protocol: str
    explanation: str
    equation: str
    promise: str
    row: Callable[[Mapping[str, Any]], Payload | None]
    start: Callable[[Mapping[str, Any]], Payload] = lambda event: {}
    wide: bool = False
    snapshot: bool = False  # rows are large and drawn one at a time: thinned out when a long run is opened again


def short(value: Any, digits: int = DIGITS) -> Any:
    """A number with few significant digits (or None for none that can be drawn); lists of them likewise."""
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


def point(event: Mapping[str, Any]) -> Payload:
    """What every row of a measured event begins with."""
    return {"lane": event["lane"], "round": event["round"]}
