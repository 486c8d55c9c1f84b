"""The state of a lesson's run, read from the store repeatedly while somebody watches it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from core.charts.table import short
from core.runs.store.store import Run, Store
from core.runs.store.study_queue import StudyState
from lab_app.handlers.watch import doing
from lab_app.lessons.lesson import STUDIED, Lesson
from lab_app.markup import text

LIVE = ("queued", "running")
MISSING = "This run does not exist: it was deleted, or the address is wrong."
ANOTHER = "The run at this address belongs to another experiment."
State = dict[str, Any]


@dataclass
class Standing:
    """One lesson's run in progress. `look` reads new events and returns the state for the page's script.

    A lesson with a study asks for it once its run is done; `trouble` says why no worker can be started.
    """

    store: Store
    lesson: Lesson
    run: str
    trouble: Callable[[], str] = lambda: ""
    after: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)
    asked: int | None = None  # the command by which the study was asked for
    seen: State = field(default_factory=dict)
    fits: bool | None = None

    def look(self) -> State:
        """`status` (a run's, or missing), what goes on in words (`says`, `left`) and in shares (`part`), and `seen`."""
        found = self.store.get(self.run, spec=self.fits is None)
        if found is None:
            return {"status": "missing", "says": MISSING}
        if self.fits is None:
            self.fits = self.lesson.fits(found.spec or {})
        if not self.fits:
            return {"status": "missing", "says": ANOTHER}
        news = self.store.events(self.run, self.after)
        if news:
            self.after = news[-1][0]
            self.events += [event for _, event in news]
        state = self._study(found) if found.status == "done" and self.lesson.study else self._run(found)
        if news or state["status"] == "done":
            self.seen = self._seen()
        begun = found.spec["facts"].get("seed", 0) if found.spec else None
        return state | {"seen": self.seen} | ({} if begun is None else {"begun": begun})

    def _run(self, found: Run) -> State:
        state: State = {"status": found.status, "says": found.message or text.STATES.get(found.status, found.status)}
        if found.status in ("paused", "stopped", "failed") and self._waits("resume"):
            return {"status": "queued", "says": self._before(0)}
        if found.status == "queued":
            state["says"] = self._before(found.position)
        elif found.status == "running" and (progress := self.store.progress(self.run)):
            told = doing(progress)
            lane = f"{told['lane']}: " if told["lane"] and len(self._lanes()) > 1 else ""
            at = f", round {told['round']} of {self._rounds()}" if told["round"] and self._rounds() > 1 else ""
            state |= {"says": f"{lane}{told['phase']}{at}", "part": told["whole"], "left": told["left"]}
        return state

    def _study(self, found: Run) -> State:
        """The second part of a lesson: the study of the finished run."""
        wanted = self.lesson.study
        assert wanted is not None
        mine = [study for study in self.store.studies.of(self.run) if wanted.asked_by(study.asked)]
        if not mine:
            return self._ask()
        study = next((one for one in mine if one.status == "done"), mine[0])
        if study.status == "done":
            if not any(event["kind"] == STUDIED for event in self.events):
                result = self.store.studies.result(found.folder, study)
                if result is None:
                    return {"status": "failed", "says": "The result of the study no longer exists."}
                self.events.append({"kind": STUDIED, "tables": result["tables"]})
            return {"status": "done", "says": text.STATES["done"]}
        if study.status not in LIVE and self._waits("study"):
            return {"status": "running", "stage": 2, "says": self._before(0)}
        if study.status not in LIVE:
            return {"status": study.status, "says": study.message or text.STATES.get(study.status, study.status)}
        return {"status": "running", "stage": 2} | self._studying(study, wanted.does)

    def _studying(self, study: StudyState, does: str) -> State:
        if study.status == "queued":
            return {"says": self._before(study.position)}
        progress = study.progress or {}
        done, total = progress.get("done") or 0, progress.get("total") or 0
        counted = f", {done:,.0f} of {total:,.0f}" if total else ""
        part = round(min(1.0, done / total), 3) if total else None
        return {"says": f"{does}{counted}", "part": part, "left": text.lasting(progress.get("eta_seconds"))}

    def _ask(self) -> State:
        """Request the study once: another page with the same run may have done so."""
        command = self.store.answer(self.asked) if self.asked is not None else None
        if command is not None and command.state == "failed":
            return {"status": "failed", "says": str((command.answer or {}).get("message", "The study failed."))}
        if command is None and not self._waits("study"):
            self.asked = self._command()
        return {"status": "running", "stage": 2, "says": self._before(0)}

    def _waits(self, kind: str) -> bool:
        """Whether a command about this run is still waiting for the worker."""
        return any(command.run == self.run and command.kind == kind for command in self.store.waiting())

    def _command(self) -> int:
        assert self.lesson.study is not None
        wanted = {"name": self.lesson.study.name, "options": dict(self.lesson.study.options)}
        return self.store.command(self.run, "study", wanted | {"lanes": None, "rounds": "last"})

    def _before(self, position: int) -> str:
        worker = self.store.worker()
        if worker is None or not worker.alive:
            return self.trouble() or "The worker is starting."
        return f"waiting: {text.plural(position - 1, 'other')} first" if position > 1 else "waiting for the worker"

    def _lanes(self) -> list[Any]:
        return next((event["lanes"] for event in self.events if event["kind"] == "started"), [])

    def _rounds(self) -> int:
        return next((event["rounds"] for event in self.events if event["kind"] == "started"), 0)

    def _seen(self) -> State:
        """The results so far, in the script's format."""
        sentences, rows, outcome = self.lesson.seen(self.events)
        drawn = [{name: short(value) for name, value in row.items()} for row in rows]
        unbroken = [said.replace(" %", "\u00a0%") for said in sentences]
        return {"sentences": unbroken, "rows": drawn, "outcome": None if outcome is None else outcome._asdict()}

    def stop(self) -> None:
        """Stop the run, or the study after it."""
        found = self.store.get(self.run, spec=False)
        if found is None:
            return
        if found.status in (*LIVE, "paused"):
            self.store.command(self.run, "stop")
        wanted = self.lesson.study
        for study in self.store.studies.of(self.run):
            if study.status in LIVE and wanted is not None and wanted.asked_by(study.asked):
                self.store.command(self.run, "stop_study", {"study": study.id})

    def resume(self) -> None:
        """Resume the run, or its study."""
        found = self.store.get(self.run, spec=False)
        if found is not None and found.status in ("paused", "stopped", "failed"):
            self.store.command(self.run, "resume")
        elif found is not None and found.status == "done" and self.lesson.study is not None:
            self._command()
