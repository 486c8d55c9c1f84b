"""A run on a terminal: a progress bar, or a line for each step where output goes to a file."""

from __future__ import annotations

import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOBase
from types import FrameType

from core.editing.stopwatch import SETUP, charged
from core.runs.progress.control import Control
from core.runs.progress.eta import Pace, clock
from core.runs.progress.events import Edited, Event, Finished, Measured, Progress, Started, Warned

BAR = 24  # characters
SILENT = 20.0  # seconds without a line after which a line of progress is written to a file
STAGES = (
    "loading",
    "converting",
    "statistics",
    "contexts",
    "training",
    "inside",
)  # before a run's first step: each begins with a line
SHOWN = ("efficacy", "paraphrase", "neighborhood", "unedited_recall", "task_mean")


class Telling:
    """Writes events and progress: a progress bar on `bar` if that is a terminal, permanent lines on `out`.

    Without a terminal, a thread writes a line of progress whenever there was none for `SILENT` seconds, also during a
    call that reports nothing, until `end`. `rounds` is the number of rounds of a resumed run, whose first event is not
    written again.
    """

    def __init__(
        self,
        out: TextIOBase | None = None,
        bar: TextIOBase | None = None,
        rounds: int = 0,
        now: Callable[[], float] = time.monotonic,
    ):
        self._out, self._bar = out or sys.stdout, bar or sys.stderr
        self._moving = self._bar.isatty()
        self._drawn = False
        self._now, self._written = now, now()
        self._latest: Progress | None = None
        self._began, self._pace = now(), Pace(now)
        self._over, self._lock = threading.Event(), threading.RLock()
        self._watcher: threading.Thread | None = None
        self._noted: set[str] = set()
        self._printed: set[str] = set()
        self._rounds = rounds
        self._eta: int | float | None = None
        self._phase = ""

    def event(self, event: Event) -> None:
        """Write a committed event as a permanent line, if it has one."""
        line = self._line(event)
        if line:
            self._clear()
            self._say(line)

    def progress(self, progress: Progress) -> None:
        """Show progress. A message about measures before any lane is measured is an estimate of their time; it becomes
        a permanent line."""
        self._eta = progress.eta_seconds
        what = progress.message or progress.phase
        with self._lock:
            place = (progress.phase, progress.lane, progress.round)
            if self._latest is None or place != (self._latest.phase, self._latest.lane, self._latest.round):
                self._began, self._pace = self._now(), Pace(self._now)
            self._latest = progress
        if progress.phase in ("inside", "study") and progress.lane is None and progress.round is None:
            self._clear()
            self._printed.add(what)
            self._say(f"note: {what}")
        elif self._moving:
            self._draw(progress, what)
        elif progress.phase in STAGES and what != self._phase:
            self._say(what)
        else:
            self.still()
        self._phase = what
        if self._watcher is None and not self._moving:
            self._watcher = threading.Thread(target=self._watch, daemon=True, name="progress lines")
            self._watcher.start()

    def still(self) -> None:
        """Write a line of progress if there was none for `SILENT` seconds."""
        with self._lock:
            if self._latest is not None and not self._moving and self._now() - self._written >= SILENT:
                self._say(self._standing(self._latest))

    def end(self) -> None:
        """Clear the progress bar and stop writing."""
        self._over.set()
        if self._watcher is not None:
            self._watcher.join()
        self._clear()

    def _watch(self) -> None:
        while not self._over.wait(1.0):
            self.still()

    def _say(self, line: str) -> None:
        with self._lock:
            print(line, file=self._out, flush=True)
            self._written = self._now()

    def _standing(self, progress: Progress) -> str:
        """The current work, its progress, the time left if it is known, and the time taken."""
        done, total = progress.done, progress.total
        parts = [f"{done / total:.0%}"] if total else []
        left = self._pace.left(done, total)
        if progress.eta_seconds is not None:
            parts += [f"{progress.run_done / progress.run_total:.0%} of the run"] if progress.run_total else []
            parts.append(f"{clock(progress.eta_seconds)} left")
        elif left is not None:
            parts.append(f"{clock(left)} left of this step")
        parts.append(f"for {clock(self._now() - self._began)}")
        return f"… {progress.message or progress.phase} ({', '.join(parts)})"

    def _of(self, number: int) -> str:
        return f"round {number}/{self._rounds}" if self._rounds else f"round {number}"

    def _line(self, event: Event) -> str:
        if isinstance(event, Started):
            self._rounds = event.rounds
            lanes = ", ".join(str(lane["label"]) for lane in event.lanes)
            return f"{event.facts:,} facts in {event.rounds} rounds: {lanes}"
        if isinstance(event, Measured):
            scores = [f"{name} {event.scores[name]:.2f}" for name in SHOWN if _number(event.scores.get(name))]
            eta = f"   {clock(self._eta)} left" if self._eta and event.round < self._rounds else ""
            return f"{self._of(event.round)}  {event.lane}:  {', '.join(scores)}{eta}"
        if isinstance(event, Edited):
            return "\n".join(self._edited(event))
        if isinstance(event, Warned) and event.message in self._printed:
            return ""
        if isinstance(event, Warned):
            where = f"{event.lane}, round {event.round}: " if event.lane and event.round is not None else ""
            return f"{'note' if event.level == 'info' else 'warning'}: {where}{event.message}"
        if isinstance(event, Finished) and event.status != "failed":
            return event.message
        return ""

    def _edited(self, event: Edited) -> list[str]:
        """The time of a round, unless the bar shows it; the method's notes, in a lane's first round."""
        seconds, setup = charged(event.seconds), event.seconds.get(SETUP) or 0.0
        what = f"{self._of(event.round)}  {event.lane}:  {len(event.facts)} facts edited in {seconds:.1f} s"
        what += f", and {setup:.1f} s for what all rounds share" if setup >= 1 else ""
        first = event.notes if event.lane not in self._noted else []
        self._noted.add(event.lane)
        return ([] if self._moving else [what]) + [f"note: {event.lane}: {note}" for note in first]

    def _draw(self, progress: Progress, what: str) -> None:
        done, total = progress.run_done, progress.run_total
        if not total or progress.phase in ("statistics", "study"):
            done, total = int(progress.done), int(progress.total)
        full = BAR * done // total if total else 0
        eta = f"  {clock(progress.eta_seconds)} left" if progress.eta_seconds is not None else ""
        count = f" {done:,}/{total:,}" if total else ""
        line = f"[{'#' * full}{'.' * (BAR - full)}]{count}{eta}  {what}"
        width = shutil.get_terminal_size().columns - 1
        self._bar.write("\r" + line[:width].ljust(width))
        self._bar.flush()
        self._drawn = True

    def _clear(self) -> None:
        if self._drawn:
            self._bar.write("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r")
            self._bar.flush()
            self._drawn = False


def quiet() -> None:
    """Disable progress bars of other libraries if output goes to a file."""
    if not sys.stderr.isatty():
        from transformers.utils import logging

        logging.disable_progress_bar()


@contextmanager
def interruptible(control: Control, advice: str) -> Iterator[None]:
    """Ctrl-C (or SIGTERM) once ends the work after this step, twice at once. `advice` says how to continue."""
    signals: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if signals:
            control.stop(f"Stopped at once; {advice}.")
        else:
            control.leave(f"Stopped; {advice}.")
        signals.append(number)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
