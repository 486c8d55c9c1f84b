"""Handles the commands of the page, also during a run or a study: pause, stop, undo, added lanes, probes, maps and
exports. Studies are added to their queue."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from core.editing.deltas.ledger import Ledger
from core.errors import UserError
from core.runs.export.offered import drop_figures, needs_model
from core.runs.opened.catalogue import built, resolved
from core.runs.opened.pending import NEXT
from core.runs.opened.selected_rounds import selected_rounds
from core.runs.progress.control import Control, Paused, Stopped
from core.runs.spec.problems import SpecError, whole
from core.runs.store.additions import add_lanes, extended
from core.runs.store.commands import ACTIONS, QUESTIONS, STUDY, WITHDRAWN, Command
from core.runs.store.folder import RunFolder
from core.runs.store.store import Run, Store
from core.runs.store.study_queue import Asked, StudyState
from core.runs.store.undo import GOES_ON, undo
from core.runs.worker.questions import QuestionHandler

WAITS = object()  # the command is deferred until another run, or none, is active
MOST_ATTEMPTS = 2  # to answer a command: if the worker dies repeatedly, the command needs too much memory
DIED = (
    "the worker died {attempts} times at this request, probably for lack of memory, and does not retry it; "
    "free some memory, or request less, then try again"
)
CLOSED = "The lab was closed."
FAULT = "the worker could not answer this because of an internal error; see worker.log in the lab's folder"
TOLD_ELSE = "this run has received another command meanwhile; check its status and try again"


@dataclass(frozen=True)
class Studying:
    """The study that is being performed."""

    study: StudyState
    control: Control


class CommandHandler:
    """Serves the store's commands. `active` and `control` belong to the current run; a study `studying` is suspended
    meanwhile. `serving` is the command that is being answered, `last_poll` the time of the last `poll`
    (`time.monotonic`)."""

    def __init__(self, store: Store, questions: QuestionHandler):
        self._store, self._questions = store, questions
        self.serving: Command | None = None
        self.last_poll = time.monotonic()
        self._deferred: set[int] = set()
        self._leaving = False
        self.active: str | None = None
        self.control: Control | None = None
        self.studying: Studying | None = None

    def take(self, run: str | None, control: Control | None) -> None:
        """Set the active run; None for no run."""
        self.active, self.control = run, control
        self._deferred.clear()

    def study(self, studying: Studying | None) -> None:
        """Set the current study; None for no study."""
        self.studying = studying
        self._deferred.clear()

    def leave(self) -> None:
        """Interrupt long answers; the next worker makes them."""
        self._leaving = True

    def poll(self, at_leisure: bool = True) -> None:
        """Serve the waiting commands; long ones only if `at_leisure`."""
        self.last_poll = time.monotonic()
        if self.serving is not None:  # called by a heartbeat within an answer
            return
        for command in self._store.waiting():
            if command.id in self._deferred or (not at_leisure and _long(command)):
                continue
            self.serving = command
            try:
                self._serve(command)
            finally:
                self.serving = None

    def stop_waits(self) -> bool:
        """Whether a waiting command asks to stop the current work: the answer, the run, or the study."""
        waiting = self._store.waiting()
        if self.serving is not None:
            return self.serving.id not in {command.id for command in waiting}
        if self.active is not None:
            return any(command.run == self.active and command.kind in ("stop", "delete") for command in waiting)
        study = self.studying.study if self.studying is not None else None
        return study is not None and any(
            command.run == study.run and command.kind in ("stop_study", "delete") for command in waiting
        )

    def _serve(self, command: Command) -> None:
        commands, run = self._store.commands, None
        try:
            run = self._store.get(command.run, spec=command.kind in (*QUESTIONS, "add_lanes", "study"))
            if run is None and (command.run or command.kind != "probe"):
                raise UserError("this run no longer exists")
            if command.attempts >= MOST_ATTEMPTS:
                if run is not None:
                    drop_figures(run, command.payload)
                raise UserError(DIED.format(attempts=command.attempts))
            commands.begin(command.id)
            if command.kind in QUESTIONS:
                answer = self._answer(command, run)
            elif run is None:
                raise UserError("this asks for a run, and names none")
            elif command.kind in STUDY:
                answer = self._study(command, run)
            else:
                answer = self._act(command, run)
        except Paused:
            commands.put_back(command.id)
        except Stopped as stop:  # or it was withdrawn, and has its answer
            commands.end(command.id, {"message": str(stop)}, failed=True)
        except SpecError as error:
            problems = [{"where": problem.where, "message": problem.message} for problem in error.problems]
            self._store.set_answer(command.id, {"message": str(error), "problems": problems}, failed=True)
        except UserError as error:
            self._store.set_answer(command.id, {"message": str(error)}, failed=True)
        except Exception:  # a question must not end the run
            traceback.print_exc(file=sys.stderr)
            self._store.set_answer(command.id, {"message": FAULT}, failed=True)
        else:
            if answer is WAITS:
                commands.put_back(command.id)
                self._deferred.add(command.id)
            else:
                self._store.set_answer(command.id, answer)

    def _answer(self, command: Command, run: Run | None) -> object:
        going = self.active is not None or self.studying is not None
        if going and _needs_model(command) and not self._questions.ready(run, command.payload):
            return WAITS  # another model is needed: wait until nothing else runs
        return self._questions.answer(run, command.kind, command.payload, self._control(command))

    def _control(self, command: Command) -> Control:
        """The control of a long answer: it stops on a withdrawn or conflicting command, and reports progress."""
        commands = self._store.commands

        def look(_: bool) -> None:
            self.last_poll = time.monotonic()
            others = {other.id: other.kind for other in commands.waiting(command.run)}
            if command.id not in others:
                control.stop(WITHDRAWN)
            elif "delete" in others.values() or (_pending(command) and set(ACTIONS) & set(others.values())):
                control.stop(TOLD_ELSE)
            elif self._leaving:
                control.leave(CLOSED)

        control = Control(look, lambda progress: commands.set_progress(command.id, progress))
        return control

    def _study(self, command: Command, run: Run) -> object:
        if command.kind == "study":
            payload = command.payload
            request = Asked(
                name=str(payload.get("name", "")),
                options=_kind(payload, "options", dict, {}),
                lanes=_kind(payload, "lanes", list, None),
                rounds=str(payload.get("rounds") or "last"),
            )
            study, folder = built(request.name, request.options), RunFolder(run.folder)
            if folder.read_spec() is None:
                raise UserError("this run has not begun yet; ask again when its first round is being edited")
            labels = [lane["name"] for lane in (run.spec or {})["lanes"]]
            selected_rounds(labels, Ledger(folder.ledger), request.lanes, request.rounds)  # raises `UserError`
            request = replace(request, options=resolved(study))
            return {"study": self._store.studies.add(run.id, run.owner, request)}
        number = _whole(command, "study", 0)
        state = self._store.studies.get(number)
        if state is None or state.run != run.id:
            raise UserError(f"this run has no study {number}")
        if command.kind == "stop_study":
            if self.studying is not None and self.studying.study.id == number:
                self.studying.control.stop("Stopped.")
            elif state.status == "queued":
                self._store.studies.end(number, "stopped", "Stopped before it began.")
        elif state.status == "running":
            raise UserError("this study is running; stop it first")
        else:
            self._store.studies.delete(run.folder, state)
        return None

    def _act(self, command: Command, run: Run) -> object:
        if command.kind in ("undo", "delete") and self.studying is not None and self.studying.study.run == run.id:
            if command.kind == "delete":
                self.studying.control.stop("Its run was deleted.")
            return WAITS  # the study still reads the files
        if run.id == self.active and self.control is not None:
            return self._steer(command, run, self.control)
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
        elif command.kind == "add_lanes":
            return add_lanes(self._store, run, _kind(command.payload, "lanes", list, []))
        elif command.kind == "delete":
            self._store.delete(run.id)
        elif command.kind in ("resume", "step") and run.status == "done":
            raise UserError("this run is done: all its rounds have been edited and measured")
        return None

    @staticmethod
    def _steer(command: Command, run: Run, control: Control) -> object:
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
        elif command.kind == "add_lanes":
            extended(run.spec or {}, _kind(command.payload, "lanes", list, []))  # report errors at once
            if control.paused:
                control.leave("Paused, to add lanes.")
            else:
                control.end_turn()
            return WAITS
        else:
            {"pause": control.pause, "resume": control.resume, "stop": control.stop}[command.kind]()
        return None


def _needs_model(command: Command) -> bool:
    return command.kind != "export" or needs_model(command.payload)


def _long(command: Command) -> bool:
    """Whether an answer may take too long for the middle of a round."""
    return _pending(command) or (command.kind in ("map", "export") and _needs_model(command))


def _pending(command: Command) -> bool:
    """Whether the answer needs a round that the run has not edited yet."""
    return command.kind == "sandbox" and command.payload.get("round") == NEXT


def _rounds(command: Command) -> int:
    """The number of rounds of a step."""
    return max(1, _whole(command, "rounds", 1))


def _round(command: Command) -> int | None:
    """The round to go back to, if one is named."""
    return None if command.payload.get("to") is None else _whole(command, "to", 0)


def _kind(payload: Mapping[str, Any], name: str, kind: type, default: Any) -> Any:
    value = payload.get(name)
    if value is None:
        return default
    if not isinstance(value, kind):
        raise UserError(f"{name} should be a {kind.__name__}, not {value!r}")
    return value


def _whole(command: Command, name: str, default: int) -> int:
    return whole(command.payload.get(name, default), name)
