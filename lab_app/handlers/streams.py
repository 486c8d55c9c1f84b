"""The streams of updates to open pages.

A stream occupies one of the server's slots until it ends, and a closed page is only noticed when the stream sends a
value. So each stream sends one every `BEAT` seconds, even without news.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gradio as gr

BEAT = 10.0  # seconds without news after which a page hears that it is still being fed
PLACES = 400  # streams and calls that are served at the same time; an open page holds one


class Streams:
    """Streams of one kind: each open page listens to the latest one that it requested."""

    def __init__(self) -> None:
        self._latest: dict[str, object] = {}

    def __len__(self) -> int:
        return len(self._latest)

    def end(self, request: gr.Request) -> None:
        """A page stops listening."""
        self._latest.pop(str(request.session_hash), None)

    @contextmanager
    def opened(self, request: gr.Request) -> Iterator[Callable[[], bool]]:
        """While a stream is open: whether its page still listens to it, and not to a later one."""
        page, me = str(request.session_hash), object()
        self._latest[page] = me
        try:
            yield lambda: self._latest.get(page) is me
        finally:
            if self._latest.get(page) is me:
                del self._latest[page]
