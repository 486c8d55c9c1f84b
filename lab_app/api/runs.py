"""Endpoints that start runs, follow them, list and steer them."""

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
        """Put a run into the queue: facts edited into a model under several recipes, and measured round by round.

        Args:
            spec: As for `python -m core run`: {"model": "pocket", "facts": {"source": "pocket", "count": 200} or {"items": [{"subject", "prompt", "target", "truth"}]}, "round_size": 50, "lanes": [{"method": "memit", "guards": [{"name": "revive", "tau": 0.1}]}]}. It names models, datasets and tasks that the lab offers, and no files of its computer.
            key: A secret of your own, of at least 16 characters, under which list_runs finds the run again. The page shows a visitor's own key under "All runs".

        Returns:
            {"run": its id, "position": its place in the queue}. Keep the id: whoever has it sees the run.
        """  # noqa: E501 (clients are shown these lines as they are)
        run = lab.start(spec, owner_of(key, request), lab.offer(request))
        return {"run": run, "position": known(lab, run).position}

    def run_status(run: str) -> dict:
        """How a run stands.

        Args:
            run: Its id.

        Returns:
            {"status": queued, running, paused, stopped, failed or done; "message", "title", "position": its place in the queue (0: not in it), "progress": what it is doing now, or null}
        """  # noqa: E501 (clients are shown these lines as they are)
        found = known(lab, run)
        answer: dict[str, Any] = {name: getattr(found, name) for name in ("status", "message", "title", "position")}
        return answer | {"progress": lab.store.progress(run)}

    async def run_events(run: str, after: int = 0, wait: float = 0.0) -> dict:
        """What happened in a run: started, edited, measured (scores, layers, words), warned, undone, finished.

        What is said of rounds past `to` before an event {"kind": "undone", "to"} stands no longer; where there are
        several "started", the last one stands.

        Args:
            run: Its id.
            after: The number of the last event that you have; 0: from the beginning.
            wait: Seconds to wait (at most 60) where there is no news: ask again and again to follow a run.

        Returns:
            {"last": number to give as `after` next time, "events": those past it, oldest first, "status": as in run_status}
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
        """The runs that were started with a key, or by the person who logged in.

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
        """Pause a run, let it go on, let it go on for one round, or stop it (it can be resumed).

        Args:
            run: Its id.
            action: pause, resume, step or stop.

        Returns:
            {"status": what it is then}
        """
        known(lab, run)
        if action not in STEERING:
            raise UserError(f'a run cannot "{action}"; {nearest(action, STEERING)}')
        if await answered(lab, run, action, None, PATIENCE) is None:
            raise UserError(LATER)
        return {"status": known(lab, run).status}

    async def delete_run(run: str, key: str = "", request: gr.Request | None = None) -> dict:
        """Delete a run with its files, for good; one that goes on is stopped first. Only whose run it is may do that.

        Args:
            run: Its id.
            key: As it was given to start_run.

        Returns:
            {"deleted": whether it is gone; false: the worker is busy, and deletes it as soon as it comes to it}
        """
        await asyncio.to_thread(own, lab, run, key, request)
        await answered(lab, run, "delete", None, PATIENCE)
        return {"deleted": await asyncio.to_thread(lab.store.get, run, False) is None}

    async def undo_run(run: str, rounds: int = 1) -> dict:
        """Take a run that is paused, stopped or done back by so many rounds; it stays paused there, and resumed it goes
        on to the same numbers.

        Args:
            run: Its id.
            rounds: How many.

        Returns:
            {"to": the round that it is at the end of, "message"}
        """
        known(lab, run)
        if rounds < 1:
            raise UserError(f"a run is taken back by one round or more, not by {rounds}")
        return await actions.undone(run, rounds)

    async def add_lanes(run: str, lanes: list[dict], request: gr.Request | None = None) -> dict:
        """Add lanes to a run: they are computed over the same facts, from the unedited model or from a round of another
        lane, and measured like the others.

        Args:
            run: Its id.
            lanes: As in a spec: [{"method": "memit", "guards": [{"name": "prune"}]}]; one that branches says "from": {"lane": label, "round": number}.

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
