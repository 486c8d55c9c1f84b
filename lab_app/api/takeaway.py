"""Endpoints that export."""

from __future__ import annotations

import asyncio
from typing import Any

import gradio as gr

from core.errors import UserError
from core.runs.export.offered import drop_figures
from core.runs.export.options import KINDS, OF_A_RUN, ExportOptions
from core.runs.spec.admission import Offer
from lab_app.api.asked import Endpoint, known
from lab_app.features.export import to_take
from lab_app.handlers.actions import Actions
from lab_app.handlers.asking import answered
from lab_app.handlers.there import check_rounds, lanes_there, past_of
from lab_app.server.downloads import address

PATIENCE = 900.0  # seconds: a large model takes minutes to be written
OPTIONS = ("ledger", "rank", "error", "dtype")


def endpoints(actions: Actions) -> tuple[Endpoint, ...]:
    """The functions to publish."""
    lab = actions.lab

    def there(run: str, kind: str, lane: str | None, number: int | None, options: dict[str, Any], offer: Offer) -> None:
        """Raises `UserError` for what does not exist or is not offered."""
        found, past = lab.store.get(run), past_of(lab, run)
        if found is not None:
            to_take(offer, found, kind)
        ExportOptions.checked(kind, options)
        if kind not in OF_A_RUN:
            lanes = lanes_there(past, None if lane is None else [lane])
            check_rounds(past, lanes if len(lanes) == 1 else [], [] if number is None else [number])

    async def export_run(
        run: str,
        kind: str = "zip",
        lane: str | None = None,
        round: int | None = None,
        options: dict | None = None,
        request: gr.Request | None = None,
    ) -> dict:
        """Export a run, or one lane's weights after a round, as a file.

        Args:
            run: The run's id.
            kind: zip (spec, tables, events), snippet (a Python file that repeats the run), or, for one lane: factors (ΔW as safetensors), lora (an adapter for peft), model (as save_pretrained writes it).
            lane: The label of the lane; null: the only one.
            round: The weights after this round; null: the lane's last.
            options: zip: {"ledger": true} for the updates of all rounds. lora: {"rank": maximum number of columns per layer} or {"error": maximum relative error}, {"dtype": "float32", "bfloat16" or "float16"}.

        Returns:
            {"url": path of the file below the lab's address; "name", "bytes", "about": what was exported, with each layer's rank and relative error}
        """  # noqa: E501 (clients are shown these lines as they are)
        await asyncio.to_thread(known, lab, run)
        if kind not in KINDS:
            raise UserError(f'there is no export "{kind}"; known are {", ".join(KINDS)}')
        given = dict(options or {})
        unknown = [name for name in given if name not in OPTIONS]
        if unknown:
            raise UserError(f'an export has no option "{unknown[0]}"; known are {", ".join(OPTIONS)}')
        await asyncio.to_thread(there, run, kind, lane, round, given, lab.offer(request))
        payload = {"kind": kind, "lane": lane, "round": round, "options": given}
        made = await answered(lab, run, "export", payload, PATIENCE)
        if made is None:
            raise UserError("the worker is busy: the export is queued; try again later")
        return {"url": address(run, made["name"]), **made}

    def stop_export(run: str) -> dict:
        """Stop the exports of a run that are waiting or running, and remove their partial files.

        Args:
            run: The run's id.

        Returns:
            {"stopped": number of exports}
        """
        found = known(lab, run)
        stopped = [each for each in lab.store.commands.waiting(run, "export") if lab.store.commands.withdraw(each.id)]
        for command in stopped:
            drop_figures(found, command.payload)
        return {"stopped": len(stopped)}

    return export_run, stop_export
