"""Streams are compressed, event by event; all else passes as it is."""

from __future__ import annotations

import zlib
from typing import Any

import pytest

from lab_app.server.compression import GZIP, CompressedStreams
from tests.lab_app.apart import run_apart

EVENTS = [b"data: first\n\n", b"data: " + b"again " * 500 + b"\n\n", b"data: last\n\n"]


def sent(kind: bytes, accepts: bytes) -> list[dict[str, Any]]:
    """What a client is sent by an application that says `EVENTS`."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", kind), (b"x-other", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for event in EVENTS:
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    messages: list[dict[str, Any]] = []

    async def keep(message: Any) -> None:
        messages.append(message)

    scope = {"type": "http", "headers": [(b"accept-encoding", accepts)]}
    run_apart(CompressedStreams(application)(scope, None, keep))
    return messages


def test_each_event_of_a_stream_can_be_read_as_it_comes():
    start, *bodies = sent(b"text/event-stream; charset=utf-8", b"gzip, br")
    assert dict(start["headers"])[b"content-encoding"] == b"gzip"
    assert dict(start["headers"])[b"x-other"] == b"1"
    reader = zlib.decompressobj(GZIP)
    assert [reader.decompress(body["body"]) for body in bodies] == [*EVENTS, b""]
    assert reader.eof
    assert sum(len(body["body"]) for body in bodies) < 200


@pytest.mark.parametrize(("kind", "accepts"), [(b"text/html", b"gzip"), (b"text/event-stream", b"br")])
def test_all_else_passes_as_it_is(kind, accepts):
    start, *bodies = sent(kind, accepts)
    assert b"content-encoding" not in dict(start["headers"])
    assert [body["body"] for body in bodies] == [*EVENTS, b""]
