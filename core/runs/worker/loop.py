"""The worker process, which owns the model: it performs queued runs one at a time and answers questions about runs.

python -m core.runs.worker.loop --home DIR [--parent PID] [--no-preload]
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import torch
from filelock import Timeout
from transformers.utils import logging

from core.errors import UserError
from core.paths import default_home
from core.runs.engine.laboratory import POCKET, Laboratory
from core.runs.export.offered import clear_drafts
from core.runs.progress.control import Control
from core.runs.store.store import Run, Store
from core.runs.store.study_queue import StudyState
from core.runs.worker.command_handler import MOST_ATTEMPTS, CommandHandler, Studying
from core.runs.worker.perform import perform, perform_study
from core.runs.worker.process import worker_lock
from core.runs.worker.questions import QuestionHandler
from core.runs.worker.sentinel import lives
from core.runs.worker.watchdog import CLOSED, Bell, Limits, Sentinel, Watchdog

IDLE_SECONDS = 0.05  # between two looks at the queue
TROUBLED_SECONDS = 1.0  # before another try, when the store cannot be written
TURN_SECONDS = 180.0  # after which a run gives way to other owners' runs, at the end of a round
BEAT_SECONDS = 2.0  # between two signs of life
MOST_STEPS = 3  # attempts to get past the same step: a worker that dies there again and again has too little memory
WARMING = "warming up: "
MODEL = ("model", "device", "dtype", "chat")  # fields of a spec that determine the model
GIVEN_UP = (
    "The worker died {attempts} times at the same step, probably for lack of memory. Free some memory and resume "
    "it, or start it again with a smaller round_size, fewer lanes or a smaller model."
)


class Worker:
    """One worker of one home. `run` returns after `leave` was called, or when the parent process has ended. With
    `limits`, a watchdog and a sentinel process end a worker that hangs."""

    def __init__(self, home: Path, parent: int | None = None, preload: bool = True, limits: Limits | None = None):
        self.store = Store(home)
        self.laboratory = Laboratory(self.store.home)
        self.handler = CommandHandler(self.store, QuestionHandler(self.laboratory))
        self._parent, self._preload, self._limits = parent, preload, limits
        self._leaving, self._trouble = False, ""
        self._studied = False  # whether the last turn was a study's
        self._doing, self._ended = "starting", threading.Event()

    def run(self, ends: Collection[int] = ()) -> None:
        """Work until `leave` is called. In the main thread of a process, the signals `ends` call it too."""
        bell, before = Bell(ends), self.store.worker()
        # Started before any work: a call that keeps the interpreter would keep another thread from starting it.
        sentinel = Sentinel(self._parent, self._limits) if self._limits else None
        beater = threading.Thread(target=self._beat, args=(bell, sentinel), name="sign of life", daemon=True)
        beater.start()
        try:
            self._take_over()
            if self._preload and not (before and before.pid and before.doing.startswith(WARMING)):
                self._warm_up()  # unless the last worker died during it
            while not self._leaving:
                self._doing = "waiting"
                if not self._work():
                    time.sleep(IDLE_SECONDS)
        finally:
            self._ended.set()
            bell.ring()
            beater.join()
            if sentinel is not None:
                sentinel.close()
            bell.close()
            with suppress(UserError):
                self.store.beat(0, "closed")
            self.store.close()

    def leave(self) -> None:
        """Finish the current edit, then end; if called twice, end at the next heartbeat."""
        studying = self.handler.studying
        for control in (self.handler.control, studying.control if studying else None):
            if control is not None:
                control.leave(CLOSED, at_once=self._leaving)
        self.handler.leave()
        self._leaving = True

    def _work(self) -> bool:
        """Serve the commands, then one run or study, which alternate; returns whether there was one."""
        try:
            self.handler.poll()
            if self._leaving:  # set while a command was answered
                return False
            study, queued = self.store.studies.next(), self.store.next_queued()
            self._studied = study is not None and (queued is None or not self._studied)
            if study is not None and self._studied:
                self._make(study)
            elif queued is not None:
                self._perform(queued)
        except UserError as error:  # the store is damaged or its disk is full: wait
            if str(error) != self._trouble:
                self._trouble = str(error)
                print(f"{time.strftime('%F %T')} {error}", file=sys.stderr, flush=True)
            time.sleep(TROUBLED_SECONDS)
            return False
        return self._studied or queued is not None

    def _perform(self, run: Run) -> None:
        began = time.monotonic()

        def poll(at_leisure: bool) -> None:
            self.handler.poll(at_leisure)
            if at_leisure and time.monotonic() - began > TURN_SECONDS and self._others_wait(run):
                control.end_turn()

        def changed(paused: bool) -> None:
            self.store.set_status(run.id, "paused" if paused else "running", control.why if paused else "")

        control = Control(
            poll=poll,
            report=lambda progress: self.store.set_progress(run.id, progress),
            changed=changed,
            give_way=lambda: self._leaving or bool(self.store.queue()) or self._studies_wait(),
        )
        if run.steps:
            control.step(run.steps)
        self.handler.take(run.id, control)
        self._doing = "running"
        try:
            end = perform(self.store, run, self.laboratory, control)
            if end.status == "queued" and control.steps_left:
                self.store.queue_steps(run.id, control.steps_left)
        finally:
            self.handler.take(None, None)

    def _make(self, study: StudyState) -> None:
        """Perform one study. Whenever its turn is over and a run is queued, the run gets a turn in between."""
        began = time.monotonic()
        unfit: set[str] = set()

        def poll(at_leisure: bool) -> None:
            nonlocal began
            self.handler.poll(at_leisure)
            if time.monotonic() - began > TURN_SECONDS and (waiting := self._fitting(unfit)) is not None:
                # The study may have come here without gradients, which a run needs.
                with torch.inference_mode(False), torch.enable_grad():
                    self._perform(waiting)
                self._doing, began = "studying", time.monotonic()

        control = Control(poll, lambda progress: self.store.studies.set_progress(study.id, progress))
        self.handler.study(Studying(study, control))
        self._doing = "studying"
        try:
            perform_study(self.store, study, self.laboratory, control)
        finally:
            self.handler.study(None)

    def _fitting(self, unfit: set[str]) -> Run | None:
        """The next run if it uses the loaded model, since a second model may not fit in memory. Ids of other runs are
        remembered in `unfit`."""
        following = None if self._leaving or self.handler.active else self.store.next_queued(spec=False)
        if following is None or following.id in unfit:
            return None
        run = self.store.get(following.id)
        if run is None or run.spec is None:
            return None
        model_spec = POCKET.model_copy(update={name: run.spec[name] for name in MODEL if name in run.spec})
        if self.laboratory.has(model_spec):
            return run
        unfit.add(run.id)
        return None

    def _studies_wait(self) -> bool:
        """Whether a study is queued, or suspended for this run's turn."""
        return self.handler.studying is not None or bool(self.store.studies.queue())

    def _others_wait(self, run: Run) -> bool:
        """Whether a study or another owner's run is next."""
        if self._studies_wait():
            return True
        following = self.store.next_queued(spec=False)
        return following is not None and following.owner != run.owner

    def _take_over(self) -> None:
        """Queue again what a dead worker left unfinished: a run continues, a study or an export starts over. After
        several deaths at the same step it fails instead."""
        clear_drafts(self.store.home)
        for run in self.store.left_running():
            if run.attempts >= MOST_STEPS:
                self.store.set_status(run.id, "failed", GIVEN_UP.format(attempts=run.attempts))
            else:
                self.store.requeue(run.id)
        for study in self.store.studies.left_running():
            if study.attempts >= MOST_ATTEMPTS:
                message = "The worker died several times at this study, probably for lack of memory."
                self.store.studies.end(study.id, "failed", message)
            else:
                self.store.studies.put_back(study.id, died=True)

    def _warm_up(self) -> None:
        """Load what the first run will probably need, in steps, until there is a run. Answers questions in between."""
        self._doing = f"{WARMING}loading the model"
        beats = Control(poll=self.handler.poll)
        try:
            for step in self.laboratory.warm_up(beats.heartbeat):
                beats.boundary()
                if self._leaving or self.store.queue() or self.store.studies.queue():
                    return
                self._doing = f"{WARMING}{step}"
        except UserError as error:  # the store cannot be used; later work reports it
            print(f"{time.strftime('%F %T')} not warmed up: {error}", file=sys.stderr, flush=True)

    def _beat(self, bell: Bell, sentinel: Sentinel | None) -> None:
        """The thread of heartbeats. It also ends the worker while the main thread is in a call that does not return."""
        limits = self._limits or Limits(look=BEAT_SECONDS)
        watchdog = Watchdog(self.store, self.handler, self.laboratory.patience, lambda: self._doing, limits)
        while not self._ended.is_set():
            with suppress(UserError):
                self.store.beat(os.getpid(), self._doing, self.handler.active)
            if sentinel is not None:
                sentinel.beat()
            if self._parent is not None and not lives(self._parent) and not self._leaving:
                self.leave()
            if self._leaving:
                watchdog.leaving()
            if self._limits is not None and watchdog.look():
                self.leave()
            for _ in bell.wait(limits.look):
                self.leave()


def main(arguments: list[str] | None = None) -> int:
    """The command line of the worker; 0 also when another worker has this home already."""
    parser = argparse.ArgumentParser(
        prog="python -m core.runs.worker.loop", description="Edits and measures what is queued."
    )
    parser.add_argument("--home", type=Path, default=default_home(), help="folder of the runs")
    parser.add_argument("--parent", type=int, help="leave when this process is gone")
    parser.add_argument("--no-preload", action="store_true", help="load no model before it is needed")
    options = parser.parse_args(arguments)
    home = options.home.expanduser().resolve()
    home.mkdir(parents=True, exist_ok=True)
    lock = worker_lock(home)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"{home} has a worker already", file=sys.stderr)
        return 0
    with lock:
        logging.disable_progress_bar()  # of transformers: they make no sense in a log
        worker = Worker(home, options.parent, preload=not options.no_preload, limits=Limits())
        worker.run(ends=(signal.SIGINT, signal.SIGTERM))
    return 0


if __name__ == "__main__":
    sys.exit(main())
