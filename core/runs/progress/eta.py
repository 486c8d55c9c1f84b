"""Estimates the time left from the steps done so far."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """Seconds left in work of known size. Time counts from the construction."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._began = now, now()
        self._expected: float | None = None

    def expect(self, seconds: int | float) -> None:
        """Start now, with an estimate in seconds that is used until a part is done."""
        self._began, self._expected = self._now(), float(seconds)

    def left(self, done: int | float, total: int | float) -> float | None:
        """Seconds until `total` at the pace of the first `done`; None without an estimate."""
        elapsed = self._now() - self._began
        if done <= 0 or total <= 0:
            return None if self._expected is None else max(0.0, self._expected - elapsed)
        return max(0.0, elapsed * (total - done) / done)


class RunPace:
    """Seconds left in a whole run: lanes × rounds of edits and measurements, each at the pace of its kind and lane.

    `edits` and `measures` are the remaining numbers of each, by lane.
    """

    def __init__(self, edits: dict[str, int], measures: dict[str, int]):
        self._left = {("edit", lane): count for lane, count in edits.items()}
        self._left |= {("measure", lane): count for lane, count in measures.items()}
        self._taken: dict[tuple[str, str], list[float]] = {}
        self._going: tuple[tuple[str, str], float] | None = None  # the current step, and when it began

    def begin(self, kind: str, lane: str) -> None:
        """A step of this kind and lane begins; the time left decreases meanwhile."""
        self._going = ((kind, lane), time.monotonic())

    def took(self, kind: str, lane: str, seconds: int | float) -> None:
        """A step of this kind ("edit" or "measure") and lane is done."""
        self._going = None
        self._taken.setdefault((kind, lane), []).append(seconds)
        self._left[kind, lane] = max(0, self._left.get((kind, lane), 0) - 1)

    def drop(self, lane: str) -> None:
        """A lane has ended early."""
        self._going = None
        self._left = {key: 0 if key[1] == lane else count for key, count in self._left.items()}

    @property
    def edits_left(self) -> int:
        """Remaining edits of lanes that have not ended early."""
        return sum(count for (kind, _), count in self._left.items() if kind == "edit")

    def left(self) -> float | None:
        """Seconds until the end; a lane that has not begun is assumed to be like the others. None before the first
        edit, and if no time is left by this estimate.

        The current step counts with its remaining time, and with zero once it takes longer than earlier ones.
        """
        means = {key: sum(taken[-5:]) / len(taken[-5:]) for key, taken in self._taken.items()}
        if not any(kind == "edit" for kind, _ in means):
            return None
        total = 0.0
        for (kind, lane), count in self._left.items():
            alike = [mean for (other, _), mean in means.items() if other == kind]
            mean = means.get((kind, lane), sum(alike) / len(alike) if alike else 0.0)
            total += count * mean
            if count and self._going is not None and self._going[0] == (kind, lane):
                total -= min(mean, time.monotonic() - self._going[1])
        return total if total > 0 else None


def clock(seconds: int | float | None) -> str:
    """Seconds in words: 45 s, 3 min, 2 h 10 min; "" for None."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
