"""Asking the worker for something and waiting for what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import UserError
from lab_app.lab import Lab


async def answered(
    lab: Lab, run: str, kind: str, payload: Mapping[str, Any] | None, patience: float
) -> dict[str, Any] | None:
    """The worker's answer to a command ({} where it has nothing to say), or None after `patience` seconds: it is obeyed
    later. Raises `UserError` where it cannot be obeyed."""
    command = lab.store.command(run, kind, payload)
    async for _, found in lab.answers({kind: command}, patience):
        if found.state == "failed":
            raise UserError(str((found.answer or {}).get("message", "that could not be done")))
        return found.answer or {}
    return None
