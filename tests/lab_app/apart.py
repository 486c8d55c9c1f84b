"""Running async handlers beside a browser, and requests of people for them."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, TypeVar

T = TypeVar("T")


def run_apart(scene: Coroutine[Any, Any, T]) -> T:
    """What an async handler comes to, in a thread of its own: the browser of the page tests has this one's loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, scene).result()


VISITOR: Any = SimpleNamespace(headers={}, username=None, session_hash="page", query_params={})  # a request of anybody
OWNER_KEY = "the key that the terminal printed"
OWNER: Any = SimpleNamespace(headers={"x-edit-lab-key": OWNER_KEY}, username=None, session_hash="own", query_params={})
