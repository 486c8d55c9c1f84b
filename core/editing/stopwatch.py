"""Where the time of a round goes: wall-clock seconds by phase, each moment counted once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

PHASES = ("values", "select", "keys", "solve", "guard", "match", "rebuild", "overlap", "ledger", "other")
FREE = SETUP, WAITING = "setup", "waiting"  # charged to no lane


class Stopwatch:
    """Phases may be nested; each moment counts for the innermost one.

    `values`: the optimisation of target values, or training. `select`: the choice of layers. `keys`, `solve`, `guard`:
    as named. `match`: the search for a factor that matches another lane. `rebuild`, `ledger`: reading a state and
    writing the round. `overlap`: the overlap of keys with earlier ones. `other`: the rest. `setup`: statistics,
    decompositions and factors that are computed once per run and then shared, whichever lane needs them first.
    `waiting`: a pause, or questions answered meanwhile.

    `settle` waits for pending work (a GPU's queue); `clock` gives seconds.
    """

    def __init__(self, settle: Callable[[], None] | None = None, clock: Callable[[], float] = time.perf_counter):
        self._settle, self._clock = settle, clock
        self._counts: list[tuple[dict[str, float], list[str]]] = []  # seconds by phase; the phases that are open
        self._since = 0.0

    @contextmanager
    def counted(self) -> Iterator[dict[str, float]]:
        """Gives the seconds by phase inside the block; at its end they add up to the total.

        If blocks are nested, the inner one counts as a moment of the outer one's phase: an edit that is tried while
        another one waits has no part in its phases.
        """
        seconds: dict[str, float] = {}
        self._turn()
        self._counts.append((seconds, ["other"]))
        try:
            yield seconds
        finally:
            self._turn()
            self._counts.pop()
            self._add(sum(seconds.values()))

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time inside the block counts for `name`, if anything is counted."""
        self._turn()
        within = self._counts[-1][1] if self._counts else []
        within.append(name)
        try:
            yield
        finally:
            self._turn()
            within.pop()

    def _turn(self) -> None:
        """The time since the last turn goes to the innermost phase."""
        if self._counts and self._settle is not None:
            self._settle()
        now = self._clock()
        self._add(now - self._since)
        self._since = now

    def _add(self, spent: float) -> None:
        if self._counts:
            seconds, within = self._counts[-1]
            seconds[within[-1]] = seconds.get(within[-1], 0.0) + spent


def charged(seconds: Mapping[str, float | None]) -> float:
    """The time charged to a lane: all phases but set-up, which is shared, and waiting."""
    return max(0.0, (seconds.get("total") or 0.0) - sum(seconds.get(name) or 0.0 for name in FREE))
