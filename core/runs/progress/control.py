"""Control of a run from outside: stop, pause, step, and reports of progress."""

from __future__ import annotations

import time
from collections.abc import Callable

from core.runs.progress.events import Progress

POLL_SECONDS = 0.05  # between two polls of commands
WAITING = "Waiting for its next turn."
REPORT_SECONDS = 0.2  # between two reports of progress


class Interrupted(Exception):
    """The run is interrupted. Committed work is kept, and the run can be resumed."""


class Stopped(Interrupted):
    """Somebody asked to stop."""


class Paused(Interrupted):
    """The run makes room for another run, or the lab is being closed."""


class Yielded(Interrupted):
    """It is another owner's turn; the run is queued for its next turn."""


class Control:
    """Lets others steer a run, which calls it between small steps of work.

    The owner of the process sets `poll` (serve commands; its argument says whether there is time for long ones, that
    is, between two committed steps or while paused), `report` (show progress), `changed` (the run was paused or
    resumed) and `give_way` (whether a paused run should make room for another one). All are optional.
    """

    def __init__(
        self,
        poll: Callable[[bool], None] | None = None,
        report: Callable[[Progress], None] | None = None,
        changed: Callable[[bool], None] | None = None,
        give_way: Callable[[], bool] | None = None,
    ):
        self._poll, self._report, self._changed, self._give_way = poll, report, changed, give_way
        self._polled = self._reported = 0.0
        self._last: tuple[str, str | None, int | None] | None = None
        self._stop: str | None = None
        self._leave: str | None = None
        self._at_once = False
        self._committing = (
            False  # whether work is committed step by step; before the first one there is nothing to finish
        )
        self._turn_over = False
        self._steps: int | None = None
        self.paused, self.why = False, ""

    # -- asked from outside

    def stop(self, message: str = "Stopped; it can be resumed.") -> None:
        """End the run at its next heartbeat."""
        self._stop = message

    def leave(self, message: str, at_once: bool = False) -> None:
        """Let the run finish its current edit or measurement, then raise `Paused`. With `at_once`, and where nothing is
        committed (before a run's first step, in a study), at the next heartbeat."""
        self._leave, self._at_once = message, at_once

    def end_turn(self) -> None:
        """Let the run finish its round, then make room for another owner's."""
        self._turn_over = True

    def pause(self, why: str = "") -> None:
        """Hold the run until it is resumed, stepped or stopped; `why` is shown to the person."""
        self._steps, self.why = None, why
        self._set_paused(True)

    def resume(self) -> None:
        """Continue without a limit of rounds."""
        self._steps = None
        self._set_paused(False)

    def step(self, rounds: int = 1) -> None:
        """Continue to the end of this round, or for `rounds` rounds, then pause."""
        self._steps = max(1, rounds)
        self._set_paused(False)

    @property
    def steps_left(self) -> int:
        """The remaining rounds of a `step`; 0 if the run is not being stepped."""
        return self._steps or 0

    @property
    def ending(self) -> bool:
        """Whether the run was told to stop or to leave."""
        return self._stop is not None or self._leave is not None

    # -- called by the run

    def heartbeat(self) -> None:
        """Serve new commands. Returns soon, except while paused.

        Raises `Stopped` or `Paused`; only uncommitted work is lost then.
        """
        now = time.monotonic()
        if now - self._polled < POLL_SECONDS and not self.paused:
            return
        self._look(self.paused)
        while self.paused:
            if self._leave is not None:
                raise Paused(self._leave)
            if self._give_way is not None and self._give_way():
                raise Paused(self.why or "Paused.")
            time.sleep(POLL_SECONDS)
            self._look(True)

    def boundary(self, round_over: bool = False) -> None:
        """Called between two committed steps, where no work is lost; `round_over` counts for `step`."""
        if round_over and self._steps is not None:
            self._steps -= 1
            if self._steps <= 0:
                self.pause()
        self._committing = True
        self._look(True)
        if self._leave is not None:
            raise Paused(self._leave)
        if round_over and self._turn_over and not self.paused:
            raise Yielded(WAITING)
        self.heartbeat()

    def report(self, progress: Progress) -> None:
        """Report progress; passed on a few times a second, and whenever the phase changes."""
        if self._report is not None and self.wants(progress.phase, progress.lane, progress.round):
            self._last, self._reported = (progress.phase, progress.lane, progress.round), time.monotonic()
            self._report(progress)

    def converting(self, line: str) -> None:
        """Report that a model's file is being converted, or was."""
        self.report(Progress(phase="converting", message=line))

    def wants(self, phase: str, lane: str | None, number: int | None) -> bool:
        """Whether a report of this phase would be passed on now; if not, it need not be built."""
        if self._report is None:
            return False
        return (phase, lane, number) != self._last or time.monotonic() - self._reported >= REPORT_SECONDS

    def _look(self, at_leisure: bool) -> None:
        if self._poll is not None:
            self._poll(at_leisure)
        self._polled = time.monotonic()
        if self._stop is not None:
            raise Stopped(self._stop)
        if self._leave is not None and (self._at_once or not self._committing):
            raise Paused(self._leave)

    def _set_paused(self, paused: bool) -> None:
        if paused != self.paused:
            self.paused = paused
            if self._changed is not None:
                self._changed(paused)
