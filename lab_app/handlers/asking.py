"""Sending commands to the worker, waiting for answers, and giving up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from core.errors import UserError
from core.runs.store.store import Command
from lab_app.lab import LOOKED_EVERY, Lab


async def answered(
    lab: Lab, run: str, kind: str, payload: Mapping[str, Any] | None, patience: float
) -> dict[str, Any] | None:
    """The worker's answer to a command ({} if it is empty), or None after `patience` seconds: the command stays queued.
    Raises `UserError` if the command fails."""
    command = lab.store.command(run, kind, payload)
    async for _, found in lab.answers({kind: command}, patience):
        if found.state == "failed":
            raise UserError(str((found.answer or {}).get("message", "that could not be done")))
        return found.answer or {}
    return None


async def followed(lab: Lab, command: int, patience: float) -> AsyncIterator[Command]:
    """A command after each progress, and at last with its answer. Ends early after `patience` seconds without news, or
    if its run was deleted."""
    heard, shown = time.monotonic(), None
    while time.monotonic() - heard < patience:
        found = await asyncio.to_thread(lab.store.answer, command)
        if found is None:
            return
        if found.state != "waiting":
            yield found
            return
        if found.progress != shown:
            heard, shown = time.monotonic(), found.progress
            yield found
        await asyncio.sleep(LOOKED_EVERY)


def further(command: Command) -> dict[str, Any]:
    """The progress of a running command: `doing` in words and `part` in 0..1, if known."""
    at = command.progress or {}
    part = round(min(1.0, at["done"] / at["total"]), 3) if at.get("total") else None
    return {"doing": at.get("message") or "", "part": part}


def give_up(lab: Lab, run: str, kind: str, command: Any) -> Command | None:
    """Withdraw a command about a run; returns it, or None if no such command is waiting."""
    found = lab.store.answer(command) if isinstance(command, int) else None
    if found is None or (found.run, found.kind) != (run, kind) or not lab.store.commands.withdraw(found.id):
        return None
    return found
