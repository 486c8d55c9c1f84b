"""What all endpoints have in common: whose runs they are about, and how problems are told."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

import gradio as gr

from core.errors import UserError
from core.runs.store import Run
from lab_app.lab import Lab
from lab_app.text import sentence

SHORTEST_KEY = 16  # characters: fewer could be guessed
LATER = "the worker is busy or starting: it is done as soon as the worker comes to it; ask for the run's status later"
Endpoint = Callable[..., Any]


def spoken(endpoint: Endpoint) -> Callable[..., Awaitable[Any]]:
    """The endpoint with its name, types and docstring, its bad news told to the caller in a sentence, and its waiting
    for the disk done beside the page's work."""

    @wraps(endpoint)
    async def asked(*args: Any, **kwargs: Any) -> Any:
        try:
            if inspect.iscoroutinefunction(endpoint):
                return await endpoint(*args, **kwargs)
            return await asyncio.to_thread(endpoint, *args, **kwargs)
        except UserError as error:
            raise gr.Error(sentence(str(error)), print_exception=False) from None

    return asked


def known(lab: Lab, run: str) -> Run:
    """The run of that id, without its spec; raises `UserError` if there is none."""
    found = lab.store.get(str(run), spec=False)
    if found is None:
        raise UserError("there is no run of that id")
    return found


def own(lab: Lab, run: str, key: str, request: gr.Request | None) -> Run:
    """The run of that id, if it is this person's; raises `UserError` if it is not."""
    found, owner = known(lab, run), owner_of(key, request)
    if not found.owner or found.owner != owner:
        raise UserError("only whose run it is may do that: give the key that it was started with")
    return found


def owner_of(key: str, request: gr.Request | None) -> str:
    """Whose runs a program starts and lists: those of who logged in, else of whoever has the key ("": nobody's)."""
    name = getattr(request, "username", None)
    if name:
        return name
    if key and len(key) < SHORTEST_KEY:
        raise UserError(
            f"a key has at least {SHORTEST_KEY} characters, so that nobody guesses it: use secrets.token_hex()"
        )
    return key
