"""`main([HOME, APP])`: a worker whose first run comes to a call in C that does not return.

With the number of an APP that it belongs to, that call does not even let go of the interpreter.
"""

import ctypes
from pathlib import Path
from signal import SIGTERM

from core.runs.progress.events import Progress
from core.runs.worker import loop as worker
from core.runs.worker.watchdog import Limits

LIMITS = Limits(look=0.1, hurry=0.2, leave=0.4, tell=2.0, still=60.0)


def main(words: list[str]) -> None:
    home, app = words[0], int(words[1]) if len(words) > 1 else None

    def perform(store, run, laboratory, control):
        store.claim(run.id)
        store.set_progress(run.id, Progress(phase="layers", message="hanging"))
        library = ctypes.CDLL(None) if app is None else ctypes.PyDLL(None)
        while True:  # a signal cuts a sleep short
            library.sleep(600)

    worker.perform = perform
    worker.Worker(Path(home), app, preload=False, limits=LIMITS).run(ends=(SIGTERM,))
