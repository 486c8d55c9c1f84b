"""Ends a worker that hangs, and reports it at the run or command that it was working on. Committed work is kept.

A step may be one call that never returns, so the watchdog runs in its own thread. Healthy work polls for commands many
times a second; the watchdog checks how long ago the last poll was.
"""

from __future__ import annotations

import faulthandler
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.errors import UserError
from core.runs.progress.events import Finished
from core.runs.store.store import Store
from core.runs.worker.command_handler import CommandHandler

CLOSED = "The lab was closed. Resume the run to continue."
SILENT = (
    "The worker did not respond for {waited} at this step ({doing}) and was terminated. Resume the run to "
    "retry the step; all earlier rounds are kept."
)
SILENT_ANSWER = "the worker did not respond for {waited} at this request and was terminated; request less, or try again"
HUNG = "Stopped. The worker's current step did not end, so the worker was terminated. The run can be resumed."


@dataclass(frozen=True)
class Limits:
    """Times in seconds.

    `look`: between two checks. `stop`: how long a worker may be silent after its work was asked to stop. `leave`: how
    long it may finish its edit after it was told to leave. `hurry`: when it is told to drop that edit. `tell`: how long
    it may take to store the reason. `still`: how long its interpreter may be unresponsive.
    """

    look: float = 1.0
    stop: float = 60.0
    hurry: float = 6.0
    leave: float = 9.0
    tell: float = 2.0
    still: float = 120.0

    @property
    def alone(self) -> float:
        """How long a worker may outlive its app, at most."""
        return self.leave + self.tell + 3 * self.look


class Watchdog:
    """Watches one worker. `patience()` returns how long its work may be silent now, `doing()` what it is working on.
    `end` ends the process."""

    def __init__(
        self,
        store: Store,
        handler: CommandHandler,
        patience: Callable[[], float],
        doing: Callable[[], str],
        limits: Limits | None = None,
        end: Callable[[int], object] = os._exit,
    ):
        self._store, self._handler, self._patience, self._doing = store, handler, patience, doing
        self.limits, self._end = limits or Limits(), end
        self._left: float | None = None

    def leaving(self) -> None:
        """Record that the worker was told to leave."""
        if self._left is None:
            self._left = time.monotonic()

    def look(self) -> bool:
        """End the worker if it hangs. Returns True if it was told to leave and should be told again."""
        now = time.monotonic()
        if self._left is not None:
            if now - self._left > self.limits.leave:
                self._ended(self._pause)
            return now - self._left > self.limits.hurry
        silent, patience = now - self._handler.last_poll, self._patience()
        if silent > patience:
            waited = f"{patience / 60:.0f} min" if patience >= 90 else f"{patience:.0f} s"
            self._ended(lambda: self._fail(waited))
        elif silent > self.limits.stop and self._handler.stop_waits():
            self._ended(self._stop)
        return False

    def _ended(self, tell: Callable[[], None]) -> None:
        """Write all stack traces and store the reason, then end the process even if that could not be stored."""
        faulthandler.dump_traceback(file=sys.__stderr__ or 2)
        writer = threading.Thread(target=_quietly, args=(tell,), daemon=True)
        writer.start()
        writer.join(self.limits.tell)
        self._end(1)

    def _fail(self, waited: str) -> None:
        """Mark the hung work as failed. It is not tried again unless somebody asks for it."""
        at = self._handler
        if at.serving is not None:  # the run or study around the answer will be resumed
            self._store.set_answer(at.serving.id, {"message": SILENT_ANSWER.format(waited=waited)}, failed=True)
        elif at.active is not None:
            progress = self._store.progress(at.active) or {}
            doing = progress.get("message") or self._doing()
            self._finish(at.active, "failed", SILENT.format(waited=waited, doing=doing))
        elif at.studying is not None:
            message = SILENT.format(waited=waited, doing=self._doing()).partition(" Resume")[0]
            self._store.studies.end(at.studying.study.id, "failed", f"{message} Request less, or try again.")
        else:
            print(
                f"{time.strftime('%F %T')} the worker hung for {waited}: {self._doing()}", file=sys.stderr, flush=True
            )
        self._stand_back()

    def _stop(self) -> None:
        """Mark the hung work as stopped, as somebody asked."""
        at = self._handler
        if at.serving is None and at.active is not None:
            self._finish(at.active, "stopped", HUNG)
        elif at.serving is None and at.studying is not None:
            self._store.studies.end(at.studying.study.id, "stopped", "Stopped.")
        self._stand_back()

    def _pause(self) -> None:
        """The lab is closing: leave the current work as its next heartbeat would have left it."""
        at = self._handler
        if at.serving is not None:
            self._store.commands.put_back(at.serving.id)
        if at.active is not None:
            self._finish(at.active, "paused", CLOSED)
        elif at.studying is not None:
            self._store.studies.put_back(at.studying.study.id)
        self._stand_back()
        self._store.beat(0, "closed")

    def _stand_back(self) -> None:
        """Queue a suspended study again; it did not cause the hang."""
        at = self._handler
        if at.active is not None and at.studying is not None:
            self._store.studies.put_back(at.studying.study.id)

    def _finish(self, run: str, status: str, message: str) -> None:
        self._store.append(run, [Finished(status=status, message=message)], status=status, message=message)
        self._store.set_progress(run, None)


class Sentinel:
    """The process beside this one that ends it from outside (`core.runs.worker.sentinel`)."""

    def __init__(self, app: int | None, limits: Limits):
        # By its file: run with -m, a folder named core where the lab was started would be taken for this one.
        file = Path(__file__).with_name("sentinel.py")
        command = [sys.executable, "-P", file, os.getpid(), app or 0, limits.alone, limits.still]
        self._process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, start_new_session=True)

    def beat(self) -> None:
        """A sign of life."""
        with suppress(OSError):  # it has ended; the watchdog of this process continues
            assert self._process.stdin is not None
            self._process.stdin.write(b".")
            self._process.stdin.flush()

    def close(self) -> None:
        """Close its input and wait until it has ended."""
        with suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        self._process.wait()


class Bell:
    """Wakes the watching thread, by signals or by `ring`. Signals arrive even while the main thread is in a call that
    does not return; a Python signal handler would have to wait for it."""

    def __init__(self, signals: Collection[int] = ()):
        self._signals = frozenset(map(int, signals))
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        if self._signals:
            signal.set_wakeup_fd(self._sender.fileno())
        for number in self._signals:
            signal.signal(number, lambda *_: None)

    def wait(self, seconds: float) -> list[int]:
        """Wait for signals and return them; returns [] after so many seconds or after `ring`."""
        ready, _, _ = select.select([self._receiver], [], [], seconds)
        return [number for number in self._receiver.recv(64) if number in self._signals] if ready else []

    def ring(self) -> None:
        """Wake the waiting thread."""
        self._sender.send(b"\0")

    def close(self) -> None:
        """Stop listening for signals."""
        if self._signals:
            signal.set_wakeup_fd(-1)
        self._receiver.close()
        self._sender.close()


def _quietly(tell: Callable[[], None]) -> None:
    with suppress(UserError):  # the store cannot be written; the next worker recovers the rest
        tell()
