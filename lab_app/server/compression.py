"""Compression of event streams: repeated text, such as names of columns, then costs almost nothing."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
GZIP = 16 + zlib.MAX_WBITS


class CompressedStreams:
    """ASGI middleware: event streams as gzip, flushed at each event, for clients that accept it."""

    def __init__(self, app: Callable[..., Awaitable[None]]):
        self.app = app

    async def __call__(self, scope: Scope, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        accepted = dict(scope.get("headers", ())).get(b"accept-encoding", b"")
        if scope["type"] != "http" or b"gzip" not in accepted:
            await self.app(scope, receive, send)
            return
        packer: Any = None

        async def packed(message: Scope) -> None:
            nonlocal packer
            if message["type"] == "http.response.start":
                headers = dict(message.get("headers", ()))
                if headers.get(b"content-type", b"").startswith(b"text/event-stream"):
                    packer = zlib.compressobj(6, zlib.DEFLATED, GZIP)
                    kept = [header for header in message["headers"] if header[0] != b"content-length"]
                    message = {**message, "headers": [*kept, (b"content-encoding", b"gzip")]}
            elif packer is not None:
                ends = not message.get("more_body", False)
                body = packer.compress(message.get("body", b""))
                body += packer.flush(zlib.Z_FINISH if ends else zlib.Z_SYNC_FLUSH)
                message = {**message, "body": body}
            await send(message)

        await self.app(scope, receive, packed)
