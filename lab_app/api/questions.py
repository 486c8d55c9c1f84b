"""Endpoints for queries: the model at a round, a study of a run, facts before they are edited."""

from __future__ import annotations

import asyncio
from typing import Any

import gradio as gr
from pydantic import ValidationError

from core.errors import UserError
from core.facts.source import MOST, FactsSpec, load_facts
from core.facts.typed import parse_rows
from core.names import WORLDS
from core.runs.opened.catalogue import built, catalogue
from core.runs.spec.admission import in_options
from core.runs.spec.problems import SpecError, problems_of
from core.runs.store.study_queue import StudyState
from lab_app.api.asked import LATER, Endpoint, known, owner_of
from lab_app.features.studies import Desk, check_owner, forget_file, found_of
from lab_app.form import pasted, sources
from lab_app.handlers.actions import Actions
from lab_app.handlers.asking import answered
from lab_app.handlers.there import check_rounds, lanes_there, past_of, rounds_of

PATIENCE = 30.0  # seconds that the worker has to take a study on
SAMPLING = ("source", "count", "seed", "subset")  # fields of a spec's facts that are sampled
PREVIEWED = 50  # facts of a preview


def endpoints(actions: Actions) -> tuple[Endpoint, ...]:
    """The functions to publish."""
    lab = actions.lab

    def there(run: str, lanes: list[str], rounds: list[int], without: list[int]) -> None:
        """Raises `UserError` for a run, lane or round that does not exist."""
        if run:
            known(lab, run)
        past = past_of(lab, run)
        if lanes:
            check_rounds(past, lanes_there(past, lanes), [*rounds, *without])
        elif past.started is not None:
            check_rounds(past, lanes_there(past), without)

    async def ask_run(
        run: str, prompt: str, round: int | None = None, lane: str | None = None, without: list[int] | None = None
    ) -> dict:
        """Continue a prompt with the unedited model and with every lane of a run, or one lane.

        Args:
            run: The run's id; "": the unedited pocket model.
            prompt: The beginning of a sentence, such as "The capital of France is".
            round: The model after this round; null: the latest; 0: unedited.
            lane: The label of one lane; null: all.
            without: Rounds to leave out, as if they had not been edited.

        Returns:
            {"answers": [{"lane": its label, "base": whether it is the unedited model, "text": the continuation, "next": [[token, probability], …]}], "message": why an answer is missing, if one is}
        """  # noqa: E501 (clients are shown these lines as they are)
        lanes = [lane] if lane else []
        await asyncio.to_thread(there, run, lanes, [] if round is None else [round], without or [])
        return [answer async for answer in actions.answered(run, prompt, round, without or [], lanes)][-1]

    async def study_run(
        run: str,
        name: str,
        options: dict | None = None,
        lanes: list[str] | None = None,
        rounds: str = "last",
        request: gr.Request | None = None,
    ) -> dict:
        """Start a study of a run: a measurement that takes too long to run after every round. Get it by study_result.

        Args:
            run: Id of a run that has begun.
            name: Name of the study, from list_studies.
            options: Options of the study, from list_studies; those left out have their defaults.
            lanes: Labels; null: all.
            rounds: "last", "all", or numbers separated by commas, such as "0,5,10".

        Returns:
            {"study": its number in this run}
        """
        known(lab, run)
        lab.offer(request).admit(in_options(built(name, options or {})))
        past, numbers = past_of(lab, run), rounds_of(rounds)
        check_rounds(past, lanes_there(past, lanes), numbers)
        taken = await answered(
            lab, run, "study", {"name": name, "options": options or {}, "lanes": lanes, "rounds": rounds}, PATIENCE
        )
        if taken is None:
            raise UserError(LATER)
        return taken

    def its_study(run: str, study: int) -> StudyState:
        """The study of that number; raises `UserError` if this run has none."""
        state = lab.store.studies.get(study)
        if state is None or state.run != run:
            raise UserError(f"this run has no study {study}")
        return state

    def run_studies(run: str) -> dict:
        """List the studies of a run with their options: those that are waiting or running, and the stored results.

        Args:
            run: The run's id.

        Returns:
            {"studies": [{"study": its number, or null, "result": the key of a command-line result, or null, "name", "options", "lanes", "rounds", "status", "created": seconds since 1970}], the newest 40, newest first}
        """  # noqa: E501 (clients are shown these lines as they are)
        known(lab, run)
        listed = []
        for one in Desk(lab).standing(run)["studies"]:
            number = one["id"] if isinstance(one["id"], int) else None
            about = {name: one[name] for name in ("name", "options", "lanes", "rounds", "status", "created")}
            listed.append({"study": number, "result": None if number is not None else one["id"]} | about)
        return {"studies": listed}

    def study_result(run: str, study: int = 0, result: str = "") -> dict:
        """The status of a study, and its result once it is done.

        Args:
            run: The run's id.
            study: Its number, from study_run.
            result: Instead of a number, the key of a command-line result, from run_studies.

        Returns:
            {"status": queued, running, done, stopped or failed; "message", "position": its place in the queue, "progress", "found": {"tables": {name: rows}, "protocol", "notes", …} or null}
        """  # noqa: E501 (clients are shown these lines as they are)
        home = known(lab, run)
        if result:
            found = found_of(lab, run, result)
            if found is None:
                raise UserError(f'this run has no result "{result}"')
            return {"status": "done", "message": "", "position": 0, "progress": None, "found": found}
        state = its_study(run, study)
        answer: dict[str, Any] = {name: getattr(state, name) for name in ("status", "message", "position", "progress")}
        return answer | {"found": lab.store.studies.result(home.folder, state)}

    async def stop_study(run: str, study: int) -> dict:
        """Stop a study that is waiting or running.

        Args:
            run: The run's id.
            study: Its number, from study_run.

        Returns:
            {"status": its new status; a running study stops in a moment}
        """
        await asyncio.to_thread(known, lab, run)
        await asyncio.to_thread(its_study, run, study)
        if await answered(lab, run, "stop_study", {"study": study}, PATIENCE) is None:
            raise UserError(LATER)
        state = await asyncio.to_thread(lab.store.studies.get, study)
        return {"status": state.status if state is not None else "deleted"}

    async def delete_study(
        run: str, study: int = 0, result: str = "", key: str = "", request: gr.Request | None = None
    ) -> dict:
        """Delete a study that is not running, and its result. Only the run's owner can do this.

        Args:
            run: The run's id.
            study: Its number, from study_run.
            result: Instead of a number, the key of a command-line result, from run_studies.
            key: As it was given to start_run.

        Returns:
            {"deleted": whether it is gone; false: the worker is busy, and the deletion is queued}
        """
        home = await asyncio.to_thread(known, lab, run)
        check_owner(home, owner_of(key, request))
        if result:
            await asyncio.to_thread(forget_file, home, result)
            return {"deleted": True}
        await asyncio.to_thread(its_study, run, study)
        return {"deleted": await answered(lab, run, "delete_study", {"study": study}, PATIENCE) is not None}

    def list_studies() -> dict:
        """List the studies that are available, with the question that each answers.

        Returns:
            {"studies": [{"name", "title", "question", "source", "options": [{"name", "kind", "default", "help", …}]}]}
        """
        return {"studies": catalogue()}

    def preview_facts(facts: dict) -> dict:
        """Check facts before a run edits them. Nothing is started.

        Args:
            facts: As in a spec: {"items": [{"subject", "prompt" with {} for the subject, "target", "truth"}]} or {"source": "pocket", "count": 20, "seed": 0}; or {"text": lines of CSV or JSON}.

        Returns:
            {"count": number of facts, "facts": the first 50, "problems": [{"row": from 1, "column", "message"}], "hints": what the pocket model was taught about a row}
        """  # noqa: E501 (clients are shown these lines as they are)
        given = dict(facts)
        if "text" in given:
            given = {"items": pasted.parse(str(given["text"]))}
        if given.get("items") is None:
            if given.get("source", "pocket") not in WORLDS.values():
                raise UserError('a preview takes "items", "text", or facts of the source "pocket" or "everyday"')
            asked = sampled({name: given[name] for name in SAMPLING if given.get(name) is not None})
            drawn = load_facts(asked, lab.assets).edit
            shown = [fact.as_dict() for fact in drawn[:PREVIEWED]]
            return {"count": len(drawn), "facts": shown, "problems": [], "hints": []}
        return checked(given["items"], lab.world)

    return ask_run, study_run, run_studies, study_result, stop_study, delete_study, list_studies, preview_facts


def sampled(given: dict[str, Any]) -> FactsSpec:
    """Facts of one of the lab's worlds as they are asked for; raises `SpecError`."""
    if type(given.get("count")) is int and given["count"] > MOST:
        raise UserError(f"count: at most {MOST:,} facts fit one run")
    try:
        return FactsSpec.model_validate({"source": "pocket", **given})
    except ValidationError as error:
        raise SpecError(problems_of(error, FactsSpec)) from None


def checked(items: Any, world: Any) -> dict[str, Any]:
    """Rows of facts with what is wrong with them, all rows, and what is known of the first ones."""
    if isinstance(items, list) and len(items) > MOST:
        raise UserError(f"{len(items):,} rows; at most {MOST:,} facts fit one run")
    rows = [row for row in items if isinstance(row, dict)] if isinstance(items, list) else []
    if not rows or len(rows) < len(items):
        raise UserError('facts.items should be a list of objects, each with "subject", "prompt" and "target"')
    _, found = parse_rows(rows)
    problems = [{"row": problem.row, "column": problem.column, "message": str(problem.message)} for problem in found]
    looked = sources.looked_up(rows[:PREVIEWED], world)
    hints = [{"row": place, "message": row["hint"]} for place, row in enumerate(looked, start=1) if row["hint"]]
    return {"count": len(rows), "facts": rows[:PREVIEWED], "problems": problems, "hints": hints}
