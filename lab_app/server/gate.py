"""Checks of requests: host, origin, path and size.

Gradio serves more than this lab uses, and takes what any script sends. The gate stands before it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import math
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any
from urllib.parse import urlsplit

LARGEST_BODY = 32 * 2**20  # bytes: an upload of 16 MB as base64, or 16 MiB of figures, with what is around them
DEEPEST = 32  # levels of lists and objects inside each other
LARGEST_WHOLE = 2**53  # beyond, a browser rounds whole numbers, and a database refuses them
AT_ONCE = 2**16  # bytes of a body that is read where it arrives; larger ones are read beside the page's work
CHANGING = ("POST", "PUT", "PATCH", "DELETE")
# What Gradio offers besides: to keep files and recordings, to fetch addresses, to save a page's state, to write code.
CLOSED = (
    "upload",
    "upload_progress",
    "deep_link",
    "process_recording",
    "proxy=",
    "stream",
    "component_server",
    "run-history",
    "runs",
    "profiling",
    "vibe-edit",
    "undo-vibe-edit",
    "vibe-code",
    "vibe-starter-queries",
)
PREFIXES = ("", "gradio_api/")
Scope = MutableMapping[str, Any]
Receive = Callable[..., Any]
Send = Callable[..., Any]


class Gate:
    """ASGI middleware. `hosts`: the host names that a lab on loopback accepts, besides the computer's own; None: the
    lab is open to the network and accepts any."""

    def __init__(self, app: Callable[..., Awaitable[None]], hosts: Collection[str] | None):
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # nothing here talks that way
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self.hosts is not None and (why := stranger(scope, self.hosts)):
            await refuse(send, 403, why)
            return
        if is_closed(scope["path"]):
            await refuse(send, 404, "Not found.")
            return
        if scope["method"] in CHANGING:
            body = await whole(scope, receive)
            if body is None:
                await refuse(send, 413, f"At most {LARGEST_BODY // 2**20} MiB are accepted at once.")
                return
            if why := await unfit(scope, body):
                await refuse(send, 400, why)
                return
            receive = again(body, receive)
        await self.app(scope, receive, send)


def stranger(scope: Scope, hosts: Collection[str]) -> str:
    """Why a lab on loopback rejects a request; "" if it accepts it. Another site may point its name to this computer
    (DNS rebinding), or send the request from its own page."""
    headers = dict(scope["headers"])
    host, origin = headers.get(b"host", b"").decode("latin-1"), headers.get(b"origin")
    name = hostname(f"//{host}")
    if not (is_loopback(name) or name in hosts):
        return "This lab answers only at the address that its terminal printed. Behind a proxy: give --hostname NAME."
    if origin is not None and not _same(origin.decode("latin-1"), host, hosts):
        return "This lab answers only its own pages. Behind a proxy: give --hostname NAME."
    return ""


def _same(origin: str, host: str, hosts: Collection[str]) -> bool:
    """Whether a page of this origin is the lab's own, or comes through one of its proxies."""
    try:
        return urlsplit(origin).netloc == host or hostname(origin) in hosts
    except ValueError:
        return False


def hostname(address: str) -> str:
    """The name of the host in an address, "" where there is none."""
    try:
        return (urlsplit(address).hostname or "").rstrip(".")
    except ValueError:
        return ""


def is_loopback(name: str) -> bool:
    """Whether a host's name or address can only be this computer.

    >>> [is_loopback(name) for name in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "127.0.0.1.evil.com")]
    [True, True, True, False, False]
    """
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_closed(path: str) -> bool:
    """Whether a path is one of Gradio's that the lab does not use."""
    for prefix in PREFIXES:
        rest = path.lstrip("/").removeprefix(prefix)
        if any(
            rest == name or rest.startswith((f"{name}/", name if name.endswith("=") else f"{name}/")) for name in CLOSED
        ):
            return True
    return False


async def whole(scope: Scope, receive: Receive) -> bytes | None:
    """The whole body of a request, or None if it is too large."""
    said = dict(scope["headers"]).get(b"content-length", b"0")
    if not said.isdigit() or int(said) > LARGEST_BODY:
        return None
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        parts.append(message.get("body", b""))
        size, more = size + len(parts[-1]), message.get("more_body", False)
        if size > LARGEST_BODY:
            return None
    return b"".join(parts)


def again(body: bytes, receive: Receive) -> Receive:
    """A body that was read, to be read by the page; after it whatever comes next."""
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Any:
        return left.pop() if left else await receive()

    return next_message


async def unfit(scope: Scope, body: bytes) -> str:
    """Why a body is rejected; "" if it is accepted. Bodies are JSON, except for the login's."""
    if not body or scope["path"].rstrip("/").endswith("/login"):
        return ""
    if len(body) <= AT_ONCE:
        return unfit_json(body)
    return await asyncio.to_thread(unfit_json, body)


def unfit_json(body: bytes) -> str:
    """Why a body is not plain JSON of a sane depth, whole characters and finite numbers; "" if it is."""
    try:
        value = json.loads(body, parse_constant=_no_number)
    except RecursionError:
        return "This is nested too deeply."
    except ValueError:
        return "This is not JSON: UTF-8 text, finite numbers of fewer than 4,300 digits."
    ahead = [(value, 0)]
    while ahead:
        one, depth = ahead.pop()
        if depth > DEEPEST:
            return f"This is nested more than {DEEPEST} levels deep."
        if isinstance(one, str) and not one.isascii() and any("\ud800" <= letter <= "\udfff" for letter in one):
            return "This contains half of a character (a lone surrogate)."
        if isinstance(one, int) and abs(one) > LARGEST_WHOLE:
            return "This contains a whole number larger than 2^53."
        if isinstance(one, float) and not math.isfinite(one):
            return "This contains a number that is not finite."
        if isinstance(one, dict):
            if is_file(one):
                return "Files are not accepted: the page reads facts and sends them as text."
            ahead += [(part, depth + 1) for pair in one.items() for part in pair]
        elif isinstance(one, list):
            ahead += [(part, depth + 1) for part in one]
    return ""


def is_file(value: dict[str, Any]) -> bool:
    """Whether Gradio would take this for a file: one of this computer, or of any address, which it would fetch."""
    meta = value.get("meta")
    return isinstance(meta, dict) and "_type" in meta


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is not a JSON number")


async def refuse(send: Send, status: int, why: str) -> None:
    """Answer with one sentence."""
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": why.encode()})
