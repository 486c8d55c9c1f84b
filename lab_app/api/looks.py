"""Endpoints for details of a run: one of its facts, a prompt over its rounds."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import UserError
from core.runs.progress.events import standing
from lab_app.api.asked import LATER, Endpoint, known
from lab_app.handlers.actions import Actions
from lab_app.handlers.there import lanes_there, past_of

PATIENCE = 120.0  # seconds that the worker has for all lanes


def endpoints(actions: Actions) -> tuple[Endpoint, ...]:
    """The functions to publish."""
    lab = actions.lab

    async def of_lanes(run: str, kind: str, lane: str | None, payload: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The worker's answers for each lane, or for one; raises `UserError` for the first that fails."""
        lanes = await asyncio.to_thread(there, run, lane, payload.get("round"), payload)
        commands = {name: lab.store.command(run, kind, {**payload, "lane": name}) for name in lanes}
        found: dict[str, dict[str, Any]] = {}
        async for name, command in lab.answers(commands, PATIENCE):
            if command.state == "failed":
                raise UserError(str(command.answer["message"]))
            found[name] = command.answer
        if len(found) < len(lanes):
            raise UserError(LATER)
        return [found[name] for name in lanes]

    def there(run: str, lane: str | None, number: int | None, payload: Mapping[str, Any]) -> list[str]:
        """The requested lanes; raises `UserError` for a run, lane, round or fact that does not exist."""
        known(lab, run)
        past = past_of(lab, run)
        lanes = lanes_there(past, None if lane is None else [lane])
        if number is not None and not 0 <= number <= past.last_round:
            raise UserError(f"round {number} of this run is not edited yet; rounds 0 to {past.last_round} are")
        fact, facts = payload.get("fact", 0), (past.started or {}).get("facts", 0)
        if fact < 0 or (fact >= facts and not payload.get("unedited")):
            raise UserError(f"this run has no fact {fact}; it edits {facts:,}, counted from 0")
        return lanes

    async def fact_card(
        run: str, fact: int, lane: str | None = None, round: int | None = None, unedited: bool = False
    ) -> dict:
        """One fact of a run: the answers to its questions over the rounds of each lane, and proof that it was edited.

        Args:
            run: Id of a run that has begun.
            fact: Its number, counted from 0 as in events and tables.
            lane: The label of one lane; null: all.
            round: A round to include among the tested rounds (a few of each lane's); null: the latest.
            unedited: Whether the number is that of an unedited fact.

        Returns:
            {"lanes": [{"lane", "fact": what it says, "edited_in": its round or null, "questions": [{"kind", "prompt", "target", "truth"}], "rounds": [{"round", "target" and "truth": a probability per question, "exact"}], "lens": of the unedited model and of the round [{"round", "places": [{"place", "token", "target" and "truth": a probability after each layer, "target_first" and "truth_first": whether it is the likeliest token, "says": its likeliest token}]}], "proof": of each layer ‖ΔW‖, what the guard removed, the hash; or null}]}
        """  # noqa: E501 (clients are shown these lines as they are)
        payload = {"fact": fact, "unedited": unedited} | ({} if round is None else {"round": round})
        return {"lanes": await of_lanes(run, "fact", lane, payload)}

    async def film_strip(run: str, prompt: str = "", lane: str | None = None) -> dict:
        """Continuations of a prompt, round by round: a film strip of each lane.

        Args:
            run: Id of a run that has begun.
            prompt: The beginning of a sentence; "": the prompts that the run's spec repeats at every measured round ("measure": {"probes": […]}).
            lane: The label of one lane; null: all.

        Returns:
            {"strips": [{"lane", "prompt", "rounds": [{"round": 0 is the unedited model, "text": the continuation}]}]}
        """  # noqa: E501 (clients are shown these lines as they are)
        if prompt:
            return {"strips": await of_lanes(run, "film", lane, {"prompt": prompt})}
        lanes = await asyncio.to_thread(there, run, lane, None, {})
        events = [event for _, event in await asyncio.to_thread(lab.store.events, run)]
        return {"strips": saved(events, lanes)}

    return fact_card, film_strip


def saved(events: Sequence[Mapping[str, Any]], lanes: Sequence[str]) -> list[dict[str, Any]]:
    """The strips of a run's saved prompts, from its events."""
    strips: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for event in standing(events):
        if event["kind"] == "measured" and event["lane"] in lanes:
            for said in event.get("probes") or ():
                frame = {"round": event["round"], "text": said["text"]}
                strips.setdefault((event["lane"], said["prompt"]), []).append(frame)
    order = sorted(strips, key=lambda place: lanes.index(place[0]))
    return [{"lane": lane, "prompt": prompt, "rounds": strips[lane, prompt]} for lane, prompt in order]
