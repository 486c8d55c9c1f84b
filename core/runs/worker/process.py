"""Starts the worker process when it is needed, and again when it has died."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from core.errors import UserError
from core.paths import INSTALLED, ROOT, default_home

LARGEST_LOG = 5 * 2**20  # bytes, after which a new log is begun
QUICK_DEATH = 10.0  # seconds: a worker that lives shorter could not start
MOST_DEATHS = 3  # quick ones, one after the other, before giving up


def cache_home(out: Path) -> Path:
    """Where statistics are kept that took long: with the lab's own, for all runs; in `out` where that cannot be."""
    home = default_home().expanduser()
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError:
        return out
    return home if os.access(home, os.W_OK) else out


def worker_lock(home: Path) -> FileLock:
    """Held by the one worker of a home for as long as it lives; the system lets go of it however the worker ends."""
    return FileLock(home / "worker.lock")


def worker_lives(home: Path) -> bool:
    """Whether some process is the worker of this home."""
    lock = worker_lock(home)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


class WorkerProcess:
    """Keeps one worker alive for `home`. It closes itself when the process `parent` is gone (None: never)."""

    def __init__(self, home: Path | str, parent: int | None = None, options: tuple[str, ...] = ()):
        self.home = Path(home).expanduser().resolve()
        self._parent, self._options = parent, options
        self._process: subprocess.Popen[bytes] | None = None
        self._started, self._deaths = 0.0, 0

    @property
    def log(self) -> Path:
        """What the worker prints."""
        return self.home / "worker.log"

    def ensure(self) -> None:
        """Start the worker if none lives. Cheap: call it before anything that needs one, and once in a while.

        Raises `UserError` naming the log if the worker died right after its start several times.
        """
        if self._process is not None:
            if self._process.poll() is None:
                return
            quick = time.monotonic() - self._started < QUICK_DEATH
            self._deaths = self._deaths + 1 if quick and self._process.returncode else 0
            self._process = None
        if worker_lives(self.home):
            return
        if self._deaths >= MOST_DEATHS:
            raise UserError(f"the worker cannot start: {self._last_line()} (all of it in {self.log})")
        self._start()

    def close(self, patience: int | float = 0) -> None:
        """Ask the worker that was started here to finish its edit and go; wait up to `patience` seconds for it."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)

    def _start(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            if self.log.stat().st_size > LARGEST_LOG:
                os.replace(self.log, self.log.with_suffix(".old.log"))
        # -P: a folder named core where the lab was started is not this one.
        command = [sys.executable, "-P", "-m", "core.runs.worker.loop", "--home", str(self.home), *self._options]
        if self._parent is not None:
            command += ["--parent", str(self._parent)]
        environment = dict(os.environ)
        if not INSTALLED:  # the lab may have been started from another folder
            paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C in the lab's terminal is for the page, which the worker outlives by one edit.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        self._started = time.monotonic()

    def _last_line(self) -> str:
        with suppress(OSError):
            lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            return lines[-1] if lines else "it said nothing"
        return "it left no log"
