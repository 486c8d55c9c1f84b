"""What all endpoints share: type checks of parameters, ownership of runs, and error messages."""

from __future__ import annotations

import asyncio
import inspect
import sys
import traceback
from collections.abc import Awaitable, Callable
from functools import wraps
from types import NoneType
from typing import Any, get_args, get_type_hints

import gradio as gr
from pydantic import ConfigDict, TypeAdapter, ValidationError

from core.errors import UserError
from core.runs.spec.problems import shown
from core.runs.store.store import Run
from lab_app.lab import Lab
from lab_app.markup.text import sentence

SHORTEST_KEY = 16  # characters: fewer could be guessed
LATER = "the worker is busy or starting: the request is queued; check the run's status later"
FAULT = "The lab could not do this because of an internal error; see its terminal."
LONGEST_TEXT, LARGEST = 1_000_000, 2**31  # characters of a parameter, and how large a number is
ONE = {int: "a whole number", float: "a number", str: "text", bool: "true or false", list: "a list"}
MANY = {int: "whole numbers", str: "texts"}
Endpoint = Callable[..., Any]


def spoken(endpoint: Endpoint) -> Callable[..., Awaitable[Any]]:
    """The endpoint with its name, types and docstring. Parameters are checked against its types, errors reach the
    caller as one sentence, and synchronous endpoints run in a thread."""
    parameters = inspect.signature(endpoint).parameters
    hints = {name: hint for name, hint in get_type_hints(endpoint).items() if name in parameters and name != "request"}

    @wraps(endpoint)
    async def asked(*args: Any, **kwargs: Any) -> Any:
        try:
            for name, value in {**dict(zip(parameters, args, strict=False)), **kwargs}.items():
                if name in hints:
                    check_type(name, value, hints[name])
            if inspect.iscoroutinefunction(endpoint):
                return await endpoint(*args, **kwargs)
            return await asyncio.to_thread(endpoint, *args, **kwargs)
        except UserError as error:
            raise gr.Error(sentence(str(error)), print_exception=False) from None
        except Exception:
            traceback.print_exc(file=sys.stderr)
            raise gr.Error(FAULT, print_exception=False) from None

    return asked


def check_type(name: str, value: Any, hint: Any) -> None:
    """Raises `UserError` for a parameter of another type, or for a number or text that is too large."""
    try:
        TypeAdapter(hint, config=ConfigDict(strict=True)).validate_python(value)
    except ValidationError:
        raise UserError(f"{name} should be {worded(hint)}, not {shown(value)}") from None
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        raise UserError(f"{name} should have at most {LONGEST_TEXT:,} characters, not {len(value):,}")
    if isinstance(value, (int, float)) and not -LARGEST <= value <= LARGEST:
        raise UserError(f"{name} should be a number up to {LARGEST:,}")


def worded(hint: Any) -> str:
    """A type in words.

    >>> worded(int | None), worded(list[str])
    ('a whole number or null', 'a list of texts')
    """
    if parts := [part for part in get_args(hint) if part is not NoneType] if NoneType in get_args(hint) else []:
        return f"{worded(parts[0])} or null"
    inner = get_args(hint)
    if inner:
        return f"a list of {MANY.get(inner[0], 'objects')}"
    return ONE.get(hint, "an object")


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
        raise UserError("only the owner of the run can do that: give the key that it was started with")
    return found


def owner_of(key: str, request: gr.Request | None) -> str:
    """The owner of the runs that a program starts and lists: the logged-in user, else the key ("": nobody)."""
    name = getattr(request, "username", None)
    if name:
        return name
    if key and len(key) < SHORTEST_KEY:
        raise UserError(
            f"a key must have at least {SHORTEST_KEY} characters, so that it cannot be guessed: use secrets.token_hex()"
        )
    return key
