"""What other programs may ask of a lab: a deliberate few endpoints, documented by their docstrings."""

from __future__ import annotations

from typing import Any

import gradio as gr

from core.errors import UserError
from lab_app.actions import Actions


def publish(actions: Actions) -> None:
    """Publish the endpoints. Call inside the page's `Blocks`."""
    lab = actions.lab

    def start_run(spec: dict) -> dict:
        """Start a run. `spec`: {"model", "facts", "round_size", "lanes", …} as for `python -m core run`.

        Returns {"run": its id}.
        """
        try:
            return {"run": lab.start(spec)}
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from None

    def run_status(run: str) -> dict:
        """How a run stands: {"status", "message", "title", "position", "progress"}."""
        found = known(run)
        answer: dict[str, Any] = {name: getattr(found, name) for name in ("status", "message", "title", "position")}
        return answer | {"progress": lab.store.progress(run)}

    def run_events(run: str, after: int = 0) -> dict:
        """The events of a run past number `after`: {"last": number, "events": […]}.

        What is said of rounds past `to` before an event {"kind": "undone", "to"} stands no longer.
        """
        known(run)
        events = lab.store.events(run, int(after))
        return {"last": events[-1][0] if events else int(after), "events": [event for _, event in events]}

    async def ask_run(
        run: str, prompt: str, round: int | None = None, lane: str | None = None, without: list[int] | None = None
    ) -> dict:
        """What the model says to a prompt before the edits and in every lane (or one), at a round (null: the latest,
        0: unedited), as if the rounds of `without` had not been. Before the run begins, and for the run "": what the
        unedited model says."""
        if run:
            known(run)
        lanes = [lane] if lane else []
        return [answer async for answer in actions.answered(run, prompt, round, without or [], lanes)][-1]

    async def undo_run(run: str, rounds: int = 1) -> dict:
        """Take a run that is paused, stopped or done back by so many rounds; it stays paused there, and resumed it
        goes on to the same numbers. Returns {"to": the round that it is at the end of, "message"}."""
        known(run)
        try:
            return await actions.undone(run, int(rounds))
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from None

    def known(run: str) -> Any:
        found = lab.store.get(run, spec=False)
        if found is None:
            raise gr.Error("There is no run of that id.", print_exception=False)
        return found

    gr.api(start_run)
    gr.api(run_status)
    gr.api(run_events)
    gr.api(ask_run, concurrency_limit=None)
    gr.api(undo_run, concurrency_limit=None)
