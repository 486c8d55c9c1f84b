"""Endpoints that look at a run closely: one of its facts, a prompt over its rounds."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import UserError, nearest
from core.runs.events import standing
from lab_app.actions import Actions
from lab_app.api.asked import LATER, Endpoint, known

PATIENCE = 120.0  # seconds that the worker has for all lanes


def endpoints(actions: Actions) -> tuple[Endpoint, ...]:
    """The functions to publish."""
    lab = actions.lab

    async def of_lanes(run: str, kind: str, lane: str | None, payload: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What the worker answers for each lane, or one of them; raises `UserError` for the first that it cannot."""
        await asyncio.to_thread(known, lab, run)
        lanes = chosen(await asyncio.to_thread(actions.lane_names, run), lane)
        commands = {name: lab.store.command(run, kind, {**payload, "lane": name}) for name in lanes}
        found: dict[str, dict[str, Any]] = {}
        async for name, command in lab.answers(commands, PATIENCE):
            if command.state == "failed":
                raise UserError(str(command.answer["message"]))
            found[name] = command.answer
        if len(found) < len(lanes):
            raise UserError(LATER)
        return [found[name] for name in lanes]

    async def fact_card(
        run: str, fact: int, lane: str | None = None, round: int | None = None, unedited: bool = False
    ) -> dict:
        """One fact of a run: how its questions are answered over the rounds of each lane, and proof that it was edited.

        Args:
            run: The run's id; it has begun.
            fact: Its number, counted from 0 as in events and tables.
            lane: The label of one lane; null: all.
            round: One that must be among the rounds that it is asked at (a few of each lane's); null: the latest.
            unedited: Whether the number is that of a fact that the run leaves alone.

        Returns:
            {"lanes": [{"lane", "fact": what it says, "edited_in": its round or null, "questions": [{"kind", "prompt", "target", "truth"}], "rounds": [{"round", "target" and "truth": a probability per question, "exact"}], "proof": of each layer ‖ΔW‖, what the guard took, the hash; or null}]}
        """  # noqa: E501 (clients are shown these lines as they are)
        payload = {"fact": int(fact), "unedited": bool(unedited)} | ({} if round is None else {"round": int(round)})
        return {"lanes": await of_lanes(run, "fact", lane, payload)}

    async def film_strip(run: str, prompt: str = "", lane: str | None = None) -> dict:
        """What a run's models say after a prompt, round by round: a film strip of each lane.

        Args:
            run: The run's id; it has begun.
            prompt: The beginning of a sentence; "": the prompts that the run's spec has asked at every measured round ("measure": {"probes": […]}).
            lane: The label of one lane; null: all.

        Returns:
            {"strips": [{"lane", "prompt", "rounds": [{"round": 0 is the unedited model, "text": the continuation}]}]}
        """  # noqa: E501 (clients are shown these lines as they are)
        if prompt:
            return {"strips": await of_lanes(run, "film", lane, {"prompt": prompt})}
        await asyncio.to_thread(known, lab, run)
        events = [event for _, event in await asyncio.to_thread(lab.store.events, run)]
        return {"strips": saved(events, chosen(await asyncio.to_thread(actions.lane_names, run), lane))}

    return fact_card, film_strip


def chosen(lanes: Sequence[str], lane: str | None) -> list[str]:
    """All lanes, or one of them. Raises `UserError` for one that is not there, and for a run that has none yet."""
    if not lanes:
        raise UserError("this run has not begun yet; ask again when its first round is being edited")
    if lane is not None and lane not in lanes:
        raise UserError(f'there is no lane "{lane}"; {nearest(lane, lanes)}')
    return list(lanes) if lane is None else [lane]


def saved(events: Sequence[Mapping[str, Any]], lanes: Sequence[str]) -> list[dict[str, Any]]:
    """The strips of the prompts that a run is asked at every measured round, from its events."""
    strips: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for event in standing(events):
        if event["kind"] == "measured" and event["lane"] in lanes:
            for said in event.get("probes") or ():
                frame = {"round": event["round"], "text": said["text"]}
                strips.setdefault((event["lane"], said["prompt"]), []).append(frame)
    order = sorted(strips, key=lambda place: lanes.index(place[0]))
    return [{"lane": lane, "prompt": prompt, "rounds": strips[lane, prompt]} for lane, prompt in order]
