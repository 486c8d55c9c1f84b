"""What differs from an earlier run of the same spec, by the `resolved` part that it wrote. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from core.errors import one_line, path, shown
from core.runs.progress.events import plain

SPELLED_OUT = 5  # differences in one message
SAME = "This spec was run before; model, packages, settings and statistics are what they were then."


def compared(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[bool, str]:
    """(whether all is as it was, a sentence that says so or what differs): of what a spec stood on before, and now."""
    found = [
        one_line(f"{path(where)} was {shown(old)}, is {shown(new)}")
        for where, old, new in differing(before, plain(now))
    ]
    if not found:
        return True, SAME
    more = f"; and {len(found) - SPELLED_OUT:,} more" if len(found) > SPELLED_OUT else ""
    said = "; ".join(found[:SPELLED_OUT])
    return False, f"This spec was run before, and not all is as it was then, so numbers may differ: {said}{more}."


def differing(
    before: Any, now: Any, where: tuple[int | str, ...] = ()
) -> Iterator[tuple[tuple[int | str, ...], Any, Any]]:
    """(place, value before, value now) wherever the two differ. What only `now` has is new, and no difference."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key, value in before.items():
            yield from differing(value, now.get(key), (*where, str(key)))
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for index, (one, other) in enumerate(zip(before, now, strict=True)):
            yield from differing(one, other, (*where, index))
    elif before != now:
        yield where, before, now
