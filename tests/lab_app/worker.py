"""A worker for tests of the page: takes runs from the store and writes scripted events; no model anywhere."""

from __future__ import annotations

import os
import threading
import time

from core.runs.events import Finished, Progress, Undone
from core.runs.store import Command, Store
from tests.lab_app.synthetic import mapped, scripted

LONG = 100  # rounds of a run that is not meant to end while a test looks at it


class ScriptedWorker:
    """Runs in a thread. `pace`: seconds between two events (1 in a long run). Pauses and stops as a real one does."""

    def __init__(self, store: Store, pace: float = 0.03):
        self.store, self.pace = store, pace
        self.paused: set[str] = set()
        self.stopped: set[str] = set()
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
        for event in scripted(max(1, -(-count // size)), size, lanes, **options):
            if self._over.is_set():
                return
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
                self.store.append(run, [event])
            self._rest(1.0 if count > LONG * size else self.pace)

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while True:
            self._serve()
            if time.monotonic() > until or self._over.is_set():
                return
            time.sleep(0.03)

    def _serve(self) -> None:
        self.store.beat(os.getpid(), "scripted")
        for command in self.store.waiting():
            self.store.set_answer(command.id, self._answer(command))

    def _answer(self, command: Command) -> object:
        if command.kind == "probe":
            base = {"text": "Paris. It is", "next": [["Paris", 0.9], ["Lyon", 0.05]]}
            if not command.payload["lane"]:
                return {"before": base, "after": base, "lane": "", "round": 0, "model": command.payload["model"]}
            if command.payload["without"]:
                return {"before": base, "after": {"text": f"all but {command.payload['without']}"}, "round": 9}
            after = {"text": f"Lyon <b>says {command.payload['lane']}</b>", "next": [["Lyon", 0.8]]}
            return {"before": base, "after": after, "lane": command.payload["lane"], "round": command.payload["round"]}
        if command.kind == "map":
            number = command.payload["round"]
            return mapped(0.3) | {"method": command.payload["method"], "lane": command.payload["lane"], "round": number}
        if command.kind == "undo":
            to = command.payload["to"]
            message = f"Back at the end of round {to}."
            self.store.append(command.run, [Undone(to=to)], status="paused", message=message)
            return {"to": to, "message": message}
        if command.kind == "pause":
            self.paused.add(command.run)
        elif command.kind == "resume":
            self.paused.discard(command.run)
        elif command.kind == "stop":
            self.stopped.add(command.run)
        return None
