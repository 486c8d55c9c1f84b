"""Ends a worker from outside when its app is gone, or when its interpreter hangs.

python -m core.runs.worker.sentinel WORKER APP ALONE SILENT

A small process beside the worker. It receives a byte on its standard input at every heartbeat, and ends when the worker
has ended. It imports nothing from the laboratory.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

LOOK_SECONDS = 0.5


def watch(worker: int, app: int, alone: float, silent: float) -> None:
    """Kill `worker` when the process `app` has been gone for `alone` seconds (0: there is no app), or when no
    heartbeat came for `silent` seconds; return when the worker has ended."""
    heard = with_app = time.monotonic()
    while lives(worker):
        ready, _, _ = select.select([sys.stdin.fileno()], [], [], LOOK_SECONDS)
        now = time.monotonic()
        if ready:
            if not os.read(sys.stdin.fileno(), 4096):
                return
            heard = now
        if not app or lives(app):
            with_app = now
        why = f"its app has been gone for {alone:.0f} s" if now - with_app > alone else ""
        why = why or (f"nothing in it moved for {silent:.0f} s" if now - heard > silent else "")
        if why:
            print(f"{time.strftime('%F %T')} the worker was ended: {why}", file=sys.stderr, flush=True)
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
            return


def lives(pid: int) -> bool:
    """Whether a process of this id runs; a zombie process does not."""
    if os.name == "nt":  # no signal can be sent there that does nothing
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with suppress(OSError, IndexError):  # where the system tells it
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    watch(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))
