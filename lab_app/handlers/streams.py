"""What feeds a page for as long as it is open.

A stream holds one of the server's places from its first value to its end, and that a page was left is only noticed when
the stream says something: each says something every `BEAT` seconds, news or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gradio as gr

BEAT = 10.0  # seconds without news after which a page hears that it is still being fed
PLACES = 400  # streams and calls that are served at the same time; an open page holds one


class Streams:
    """Streams of one kind: each open page listens to the latest that it asked for."""

    def __init__(self) -> None:
        self._latest: dict[str, object] = {}

    def __len__(self) -> int:
        return len(self._latest)

    def end(self, request: gr.Request) -> None:
        """A page listens no more."""
        self._latest.pop(str(request.session_hash), None)

    @contextmanager
    def opened(self, request: gr.Request) -> Iterator[Callable[[], bool]]:
        """While a stream is open: does its page still listen to it, or to a later one?"""
        page, me = str(request.session_hash), object()
        self._latest[page] = me
        try:
            yield lambda: self._latest.get(page) is me
        finally:
            if self._latest.get(page) is me:
                del self._latest[page]
