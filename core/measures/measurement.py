"""The measurement of one round of a lane, in the form in which it is stored."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

DIGITS = 6  # significant digits of numbers in tables
DRAWN = 4  # and of numbers that are only drawn


@dataclass
class Measurement:
    """The tables of one measured round. `as_dict` is the payload of a "measured" event.

    scores: the columns of rounds.csv that measures own, and `scored_when_edited`, `unedited_scored`
    intervals: {column: [low, high]} 95 % intervals over the scored facts (`share_interval`)
    layers: a row per edited layer; `spectra`, `similarity`, `drift`: what its plots need
    words: a row per shown fact; probes: a row per prompt that is asked every time
    map, more_maps: representations; notes: what was left out and why
    """

    round: int
    scores: dict[str, Any] = field(default_factory=dict)
    intervals: dict[str, list[float]] = field(default_factory=dict)
    layers: list[dict[str, Any]] = field(default_factory=list)
    spectra: list[dict[str, Any]] = field(default_factory=list)
    similarity: list[dict[str, Any]] = field(default_factory=list)
    drift: list[dict[str, Any]] = field(default_factory=list)
    words: list[dict[str, Any]] = field(default_factory=list)
    probes: list[dict[str, str]] = field(default_factory=list)
    map: dict[str, Any] | None = None
    more_maps: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: numbers rounded, NaN and infinities as None."""
        drawn = {"spectra", "similarity", "drift", "map", "more_maps"}
        return {name: rounded(value, DRAWN if name in drawn else DIGITS) for name, value in asdict(self).items()}


def rounded(value: Any, digits: int = DIGITS) -> Any:
    """The same nested structure with floats cut to `digits` significant digits, and None where they are not finite."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: rounded(inner, digits) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(inner, digits) for inner in value]
    return value
