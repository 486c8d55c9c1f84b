"""Serves what the page asks for while a run goes on and between runs: pause, stop, undo, probes, maps."""

from __future__ import annotations

import sys
import traceback

from core.errors import UserError
from core.runs.control import Control, Interrupted
from core.runs.questions import Answers
from core.runs.store import QUESTIONS, Command, Run, Store
from core.runs.undo import GOES_ON, undo

WAITS = object()  # the command stays where it is until another run, or none, is active


class Attendant:
    """Looks at the store's commands and obeys them. `active` and `control` are those of the run going on."""

    def __init__(self, store: Store, answers: Answers):
        self._store, self._answers = store, answers
        self._answering = False
        self._deferred: set[int] = set()
        self.active: str | None = None
        self.control: Control | None = None

    def take(self, run: str | None, control: Control | None) -> None:
        """Another run is the active one from now on, or none."""
        self.active, self.control = run, control
        self._deferred.clear()

    def poll(self, at_leisure: bool = True) -> None:
        """Serve the commands that wait; those that take long only `at_leisure`."""
        if self._answering:  # an answer's own work has come to a heartbeat
            return
        for command in self._store.waiting():
            if command.id in self._deferred or (command.kind == "map" and not at_leisure):
                continue
            self._answering = True
            try:
                self._serve(command)
            finally:
                self._answering = False

    def _serve(self, command: Command) -> None:
        try:
            run = self._store.get(command.run, spec=command.kind in QUESTIONS)
            if run is None and (command.run or command.kind != "probe"):
                raise UserError("this run is no longer there")
            if command.kind in QUESTIONS:
                done = self._answer(command, run)
            else:
                done = self._act(command, run)
        except Interrupted:
            raise
        except UserError as error:
            self._store.set_answer(command.id, {"message": str(error)}, failed=True)
        except Exception as error:  # a question must not end the run that it was asked about
            traceback.print_exc(file=sys.stderr)
            self._store.set_answer(command.id, {"message": f"{type(error).__name__}: {error}"}, failed=True)
        else:
            if done is WAITS:
                self._deferred.add(command.id)
            else:
                self._store.set_answer(command.id, done)

    def _answer(self, command: Command, run: Run | None) -> object:
        if self.active is not None and not self._answers.ready(run, command.payload):
            return WAITS  # another model is needed: when nothing else goes on
        return self._answers.answer(run, command.kind, command.payload)

    def _act(self, command: Command, run: Run) -> object:
        if run.id == self.active and self.control is not None:
            return self._steer(command, self.control)
        if command.kind == "pause" and run.status == "queued":
            self._store.set_status(run.id, "paused", "Paused before it began.")
        elif command.kind == "stop" and run.status in ("queued", "paused"):
            self._store.set_status(run.id, "stopped", "Stopped; it can be resumed.")
        elif command.kind == "step" and run.status in ("queued", "paused", "stopped", "failed"):
            self._store.queue_steps(run.id, _rounds(command))
        elif command.kind == "resume" and run.status in ("paused", "stopped", "failed"):
            self._store.set_status(run.id, "queued")
        elif command.kind == "undo":
            return undo(self._store, run, _round(command))
        elif command.kind == "delete":
            self._store.delete(run.id)
        elif command.kind in ("resume", "step") and run.status == "done":
            raise UserError("this run is done: all its rounds were edited and measured")
        return None

    @staticmethod
    def _steer(command: Command, control: Control) -> object:
        if command.kind == "step":
            control.step(_rounds(command))
        elif command.kind == "delete":
            control.stop("Deleted.")
            return WAITS  # until the run has ended
        elif command.kind == "undo":
            if not (control.paused or control.ending):
                raise UserError(GOES_ON)
            control.stop("Stopped, to be taken back.")
            return WAITS
        else:
            {"pause": control.pause, "resume": control.resume, "stop": control.stop}[command.kind]()
        return None


def _rounds(command: Command) -> int:
    """How many rounds a step is."""
    return max(1, _whole(command, "rounds", 1))


def _round(command: Command) -> int | None:
    """The round to go back to, if one is named."""
    return None if command.payload.get("to") is None else _whole(command, "to", 0)


def _whole(command: Command, name: str, default: int) -> int:
    try:
        return int(command.payload.get(name, default))
    except (TypeError, ValueError):
        raise UserError(f"{name} should be a whole number, not {command.payload[name]!r}") from None
