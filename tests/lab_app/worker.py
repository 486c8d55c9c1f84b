"""A worker for tests of the page: takes runs from the store and writes scripted events; no model anywhere."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from core.runs.export.offered import FOLDER, file_name
from core.runs.export.options import ExportOptions
from core.runs.progress.events import Event, Finished, Progress, Undone, to_json
from core.runs.store.additions import add_lanes
from core.runs.store.store import Command, Store
from core.runs.store.study_queue import Asked, StudyState
from tests.lab_app.studied import carded, studied
from tests.lab_app.synthetic import mapped, scripted, weighed

STEPS = 5  # to the values of a round that comes next
BEAT = 1.0  # seconds between two signs of life: each is a write to the disk
LONG = 100  # rounds of a run that is not meant to end while a test looks at it


class ScriptedWorker:
    """Runs in a thread. `pace`: seconds between two events (1 in a long run). Pauses and stops as a real one does."""

    def __init__(self, store: Store, pace: float = 0.03):
        self.store, self.pace = store, pace
        self.paused: set[str] = set()
        self.stopped: set[str] = set()
        self._beaten = -math.inf
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> ScriptedWorker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)

    def _work(self) -> None:
        while not self._over.is_set():
            self._serve()
            run = self.store.next_queued()
            if run is not None:
                self._run(run.id)
            study = self.store.studies.next()
            if study is not None:
                self._study(study)
            time.sleep(0.05)

    def _run(self, run: str) -> None:
        self.store.claim(run)
        found = self.store.get(run)
        assert found is not None
        assert found.spec is not None
        facts = found.spec["facts"]
        count = facts.get("count") or len(facts["items"])
        size = found.spec["round_size"]
        typed = [
            (row["prompt"].replace("{}", row["subject"], 1), row["target"], row.get("truth"))
            for row in (facts.get("items") or [])[:4]
        ]
        lanes = tuple(lane["name"] for lane in found.spec["lanes"])
        options = {"texts": tuple(typed)} if typed else {}
        there = {(event["kind"], event.get("lane"), event.get("round")) for _, event in self.store.events(run)}
        recipes = {lane["name"]: lane for lane in found.spec["lanes"]}
        for event in scripted(max(1, -(-count // size)), size, lanes, recipes=recipes, **options):
            if self._over.is_set():
                return
            if event.kind in ("edited", "measured") and (event.kind, event.lane, event.round) in there:
                continue
            while run in self.paused and run not in self.stopped and not self._over.is_set():
                self.store.set_status(run, "paused")
                time.sleep(0.02)
                self._serve()
            if run in self.stopped:
                self.store.append(run, [Finished(status="stopped")], status="stopped")
                return
            if event.kind == "finished":
                self.store.append(run, [event], status="done")
            else:
                if event.kind == "edited":
                    self.store.set_status(run, "running")
                    at = {"lane": event.lane, "round": event.round, "done": 7, "total": 25}
                    self.store.set_progress(run, Progress(phase="values", eta_seconds=9.0, **at))
                self.store.append(run, [filmed(event, found.spec)])
            self._rest(1.0 if count > LONG * size else self.pace)

    def _study(self, study: StudyState) -> None:
        """A study of the run's cost goes on until it is stopped; all others find something soon."""
        self.store.studies.claim(study.id)
        folder, lanes = (
            self.store.get(study.run).folder,
            [lane["name"] for lane in self.store.get(study.run).spec["lanes"]],
        )
        for step in range(10_000 if study.asked.name == "cost" else 3):
            message = f"A study of {lanes[0]}: {step} of 3"
            at = {"done": step, "total": 3, "eta_seconds": 2.0 - 0.5 * min(step, 3), "message": message}
            self.store.studies.set_progress(study.id, Progress(phase="study", lane=lanes[0], **at))
            self._rest(self.pace)
            if self._over.is_set() or self.store.studies.get(study.id).status != "running":
                return
        self.store.studies.finish(folder, study, studied(study, lanes))

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while True:
            self._serve()
            if time.monotonic() > until or self._over.is_set():
                return
            time.sleep(0.03)

    def _serve(self) -> None:
        if time.monotonic() - self._beaten > BEAT:
            self.store.beat(os.getpid(), "scripted")
            self._beaten = time.monotonic()
        for command in self.store.waiting():
            if not self._goes_on(command):
                self.store.set_answer(command.id, self._answer(command))

    def _goes_on(self, command: Command) -> bool:
        """A whole model is packed until somebody stops that; a round that comes next takes five steps."""
        whole = command.kind == "export" and command.payload["kind"] == "model"
        if whole:
            self.store.commands.set_progress(
                command.id, Progress(phase="packing", done=3, total=4, message="Packing the files")
            )
        done = (command.progress or {}).get("done", 0)
        ahead = command.kind == "sandbox" and command.payload["round"] == "next" and done < STEPS
        if ahead:
            at = {"done": done + 1, "total": STEPS, "message": f"step {done + 1} of {STEPS} for the values"}
            self.store.commands.set_progress(command.id, Progress(phase="values", **at))
        return whole or ahead

    def _export(self, command: Command) -> object:
        """A file with what was asked in it, under the name that it would have."""
        run, asked = self.store.get(command.run), command.payload
        assert run is not None
        place = 1 if asked.get("lane") else 0
        options = ExportOptions.checked(asked["kind"], asked["options"])
        name = file_name(run, asked["kind"], options, place, asked.get("round") or 0)
        file = run.folder / FOLDER / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(to_json(asked))
        layers = [{"layer": layer, "rank": 2, "full_rank": 9, "error": 0.04} for layer in (3, 4)]
        about = {"lane": asked["lane"], "round": asked["round"], "same_bits": True, "layers": layers} if place else {}
        return {"name": name, "bytes": file.stat().st_size, "about": about}

    def _measured(self, run: str) -> list[int]:
        return sorted({event["round"] for _, event in self.store.events(run) if event["kind"] == "measured"})

    def _answer(self, command: Command) -> object:
        if command.kind == "probe":
            base = {"text": "Paris. It is", "next": [["Paris", 0.9], ["Lyon", 0.05]]}
            if not command.payload["lane"]:
                return {"before": base, "after": base, "lane": "", "round": 0, "model": command.payload["model"]}
            if command.payload["without"]:
                return {"before": base, "after": {"text": f"all but {command.payload['without']}"}, "round": 9}
            after = {"text": f"Lyon <b>says {command.payload['lane']}</b>", "next": [["Lyon", 0.8]]}
            return {"before": base, "after": after, "lane": command.payload["lane"], "round": command.payload["round"]}
        if command.kind == "film":
            rounds = [{"round": n, "text": f"the Rhine <b>{n}</b>"} for n in self._measured(command.run)]
            return {"prompt": command.payload["prompt"], "lane": command.payload["lane"], "rounds": rounds}
        if command.kind == "fact":
            return carded(command.payload)
        if command.kind == "map":
            number = command.payload["round"]
            return mapped(0.3) | {"method": command.payload["method"], "lane": command.payload["lane"], "round": number}
        if command.kind == "sandbox":
            edited = [at["round"] for _, at in self.store.events(command.run) if at["kind"] == "edited"]
            ahead = command.payload["round"] == "next"
            return weighed(command.payload) | ({"round": max(edited) + 1, "pending": True} if ahead else {})
        if command.kind == "add_lanes":
            return add_lanes(self.store, self.store.get(command.run), command.payload["lanes"])
        if command.kind == "export":
            return self._export(command)
        if command.kind == "delete":
            self.store.delete(command.run)
            return None
        if command.kind == "undo":
            to = command.payload["to"]
            message = f"Back at the end of round {to}."
            self.store.append(command.run, [Undone(to=to)], status="paused", message=message)
            return {"to": to, "message": message}
        if command.kind == "study":
            asked = {name: command.payload[name] for name in ("name", "options", "lanes", "rounds")}
            run = self.store.get(command.run)
            return {"study": self.store.studies.add(run.id, run.owner, Asked(**asked))}
        if command.kind == "stop_study":
            self.store.studies.end(command.payload["study"], "stopped", "Stopped.")
        if command.kind == "delete_study":
            run = self.store.get(command.run)
            self.store.studies.delete(run.folder, self.store.studies.get(command.payload["study"]))
        if command.kind == "pause":
            self.paused.add(command.run)
        elif command.kind == "resume":
            self.paused.discard(command.run)
        elif command.kind == "stop":
            self.stopped.add(command.run)
            if command.run not in self.paused and self.store.get(command.run, spec=False).status == "paused":
                self.store.set_status(command.run, "stopped")
        return None


def filmed(event: Event, spec: Mapping[str, Any]) -> Event:
    """The event with what is said after the spec's probes, where it is a measured one."""
    prompts = spec["measure"].get("probes") or []
    if event.kind != "measured" or not prompts:
        return event
    text = f"the Rhine <b>{event.round}</b>"
    return replace(event, probes=[{"prompt": prompt, "text": text} for prompt in prompts])
