"""Endpoints that start, follow, list and steer runs."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import gradio as gr

from core.errors import UserError, nearest
from lab_app.api.asked import LATER, Endpoint, known, own, owner_of
from lab_app.features.history import row_of
from lab_app.handlers.actions import Actions
from lab_app.handlers.adding import check
from lab_app.handlers.asking import answered

STEERING = ("pause", "resume", "step", "stop")
PATIENCE = 30.0  # seconds that the worker has to obey
LONGEST_WAIT, LOOKED_EVERY = 60.0, 0.2  # seconds for news of a run, and between two looks


def endpoints(actions: Actions) -> tuple[Endpoint, ...]:
    """The functions to publish."""
    lab = actions.lab

    def start_run(spec: dict, key: str = "", request: gr.Request | None = None) -> dict:
        """Queue a run: it edits facts into a model under several recipes and measures the model after every round.

        Args:
            spec: As for `python -m core run`: {"model": "pocket", "facts": {"source": "pocket", "count": 200} or {"items": [{"subject", "prompt", "target", "truth"}]}, "round_size": 50, "lanes": [{"method": "memit", "guards": [{"name": "revive", "tau": 0.1}]}]}. It may name models, datasets and tasks that the lab offers, but no files on its computer.
            key: Your own secret of at least 16 characters. list_runs finds the run by it. The page shows a visitor's own key under "All runs".

        Returns:
            {"run": its id, "position": its place in the queue}. Keep the id: anyone who has it can see the run.
        """  # noqa: E501 (clients are shown these lines as they are)
        run = lab.start(spec, owner_of(key, request), lab.offer(request))
        return {"run": run, "position": known(lab, run).position}

    def run_status(run: str) -> dict:
        """The status of a run.

        Args:
            run: Its id.

        Returns:
            {"status": queued, running, paused, stopped, failed or done; "message", "title", "position": its place in the queue (0: not in it), "progress": what it is doing now, or null}
        """  # noqa: E501 (clients are shown these lines as they are)
        found = known(lab, run)
        answer: dict[str, Any] = {name: getattr(found, name) for name in ("status", "message", "title", "position")}
        return answer | {"progress": lab.store.progress(run)}

    async def run_events(run: str, after: int = 0, wait: float = 0.0) -> dict:
        """The events of a run: started, edited, measured (scores, layers, words), warned, undone, finished.

        An event {"kind": "undone", "to"} invalidates earlier events of rounds after `to`. If there are several
        "started" events, the last one is valid.

        Args:
            run: Its id.
            after: Number of the last event that you have; 0: from the beginning.
            wait: Seconds to wait (at most 60) if there are no new events. Call this repeatedly to follow a run.

        Returns:
            {"last": number to pass as `after` next time, "events": the new ones, oldest first, "status": as in run_status}
        """  # noqa: E501 (clients are shown these lines as they are)
        until = time.monotonic() + min(max(0.0, wait), LONGEST_WAIT)
        status = known(lab, run).status
        while True:
            events = await asyncio.to_thread(lab.store.events, run, after)
            if events or time.monotonic() >= until or status not in ("queued", "running"):
                break
            await asyncio.sleep(LOOKED_EVERY)
            status = (await asyncio.to_thread(known, lab, run)).status
        last = events[-1][0] if events else after
        return {"last": last, "events": [event for _, event in events], "status": known(lab, run).status}

    def list_runs(key: str = "", request: gr.Request | None = None) -> dict:
        """List the runs that were started with a key, or by the person who is logged in.

        Args:
            key: As it was given to start_run.

        Returns:
            {"runs": [{"id", "title", "notes", "status", "says", "message", "created": seconds since 1970}], newest first}
        """  # noqa: E501 (clients are shown these lines as they are)
        owner = owner_of(key, request)
        if not owner:
            raise UserError("give the key that your runs were started with; a run without one is known by its id alone")
        return {"runs": [{k: v for k, v in row_of(run).items() if k != "resumes"} for run in lab.store.runs(owner)]}

    async def steer_run(run: str, action: str) -> dict:
        """Pause a run, resume it, run one round of it, or stop it (it can be resumed).

        Args:
            run: Its id.
            action: pause, resume, step or stop.

        Returns:
            {"status": its new status}
        """
        known(lab, run)
        if action not in STEERING:
            raise UserError(f'a run cannot "{action}"; {nearest(action, STEERING)}')
        if await answered(lab, run, action, None, PATIENCE) is None:
            raise UserError(LATER)
        return {"status": known(lab, run).status}

    async def delete_run(run: str, key: str = "", request: gr.Request | None = None) -> dict:
        """Delete a run and its files permanently. An active run is stopped first. Only the run's owner can do this.

        Args:
            run: Its id.
            key: As it was given to start_run.

        Returns:
            {"deleted": whether it is gone; false: the worker is busy, and the deletion is queued}
        """
        await asyncio.to_thread(own, lab, run, key, request)
        await answered(lab, run, "delete", None, PATIENCE)
        return {"deleted": await asyncio.to_thread(lab.store.get, run, False) is None}

    async def undo_run(run: str, rounds: int = 1) -> dict:
        """Undo the last rounds of a run that is paused, stopped or done. It stays paused there; when resumed, it
        computes the same numbers.

        Args:
            run: Its id.
            rounds: Number of rounds to undo.

        Returns:
            {"to": the last round that is left, "message"}
        """
        known(lab, run)
        if rounds < 1:
            raise UserError(f"at least one round must be undone, not {rounds}")
        return await actions.undone(run, rounds)

    async def add_lanes(run: str, lanes: list[dict], request: gr.Request | None = None) -> dict:
        """Add lanes to a run. They edit the same facts, starting from the unedited model or from a round of another
        lane, and are measured like the others.

        Args:
            run: Its id.
            lanes: As in a spec: [{"method": "memit", "guards": [{"name": "prune"}]}]; a lane that branches has "from": {"lane": label, "round": number}.

        Returns:
            {"lanes": their labels, "position": the run's place in the queue}
        """  # noqa: E501 (clients are shown these lines as they are)
        known(lab, run)
        await asyncio.to_thread(check, lab, lab.store.get(run), lanes, lab.offer(request))
        added = await answered(lab, run, "add_lanes", {"lanes": lanes}, PATIENCE)
        if added is None:
            raise UserError(LATER)
        return added

    return start_run, run_status, run_events, list_runs, steer_run, delete_run, undo_run, add_lanes
