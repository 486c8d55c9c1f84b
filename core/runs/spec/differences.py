"""Differences from an earlier run of the same spec, by its `resolved` part. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from core.errors import one_line, path, shown
from core.runs.progress.events import plain

SPELLED_OUT = 5  # differences in one message
SAME = "This spec was run before, with the same model, packages, settings and statistics."


def compared(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[bool, str]:
    """(whether `before` and `now` agree, a sentence that says so or lists the differences)."""
    differences = [
        one_line(f"{path(where)} was {shown(old)}, is {shown(new)}")
        for where, old, new in differing(before, plain(now))
    ]
    if not differences:
        return True, SAME
    more = f"; and {len(differences) - SPELLED_OUT:,} more" if len(differences) > SPELLED_OUT else ""
    listed = "; ".join(differences[:SPELLED_OUT])
    return False, f"This spec was run before under other conditions, so numbers may differ: {listed}{more}."


def differing(
    before: Any, now: Any, where: tuple[int | str, ...] = ()
) -> Iterator[tuple[tuple[int | str, ...], Any, Any]]:
    """(place, value before, value now) wherever the two differ. Keys that only `now` has do not count."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key, value in before.items():
            yield from differing(value, now.get(key), (*where, str(key)))
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for index, (old, new) in enumerate(zip(before, now, strict=True)):
            yield from differing(old, new, (*where, index))
    elif before != now:
        yield where, before, now
