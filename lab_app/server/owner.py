"""The owner of the lab: requests with the key that the terminal printed.

A lab on loopback makes a key when it starts. The address that it prints and opens has it (`?key=…`); it is exchanged
for a cookie that no script can read and no other site can send, and taken out of the address. A program sends it as the
header `x-edit-lab-key`. Whoever comes without it is a visitor.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode

COOKIE = "edit-lab-key"  # with the port behind it, since all ports of a computer share their cookies
HEADER = "x-edit-lab-key"
IN_ADDRESS = "key"
Scope = MutableMapping[str, Any]


def owns(request: Any, key: str) -> bool:
    """Whether a request (with `headers`) has the lab's key; False if the lab has none."""
    headers = getattr(request, "headers", None) or {}
    if not key:
        return False
    try:
        cookies = SimpleCookie(headers.get("cookie") or "")
    except CookieError:
        cookies = SimpleCookie()
    given = [morsel.value for name, morsel in cookies.items() if name.startswith(COOKIE)]
    return any(same(one, key) for one in (*given, headers.get(HEADER) or ""))


def same(given: str, key: str) -> bool:
    """Whether they are equal, compared in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), key.encode())


class OwnersKey:
    """ASGI middleware that removes a key from the address: the correct one becomes a cookie."""

    def __init__(self, app: Callable[..., Awaitable[None]], key: str):
        self.app, self.key = app, key

    async def __call__(self, scope: Scope, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        asked = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        given = [value for name, value in asked if name == IN_ADDRESS]
        if not self.key or scope["type"] != "http" or scope["method"] != "GET" or not given:
            await self.app(scope, receive, send)
            return
        rest = urlencode([(name, value) for name, value in asked if name != IN_ADDRESS])
        place = "/" + scope["path"].lstrip("/\\") + (f"?{rest}" if rest else "")  # never another host
        headers = [(b"location", place.encode("ascii", "ignore")), (b"cache-control", b"no-store")]
        if same(given[0], self.key):
            cookie = f"{COOKIE}-{scope['server'][1]}={self.key}; Path=/; HttpOnly; SameSite=Strict"
            headers.append((b"set-cookie", cookie.encode()))
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
