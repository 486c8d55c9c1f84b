"""What comes in at all, and who runs the lab: the two pieces of middleware, with a page behind them that notes what it
was asked."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from lab_app.server import gate
from lab_app.server.gate import LARGEST_BODY, Gate, is_closed, is_loopback, unfit_json
from lab_app.server.owner import COOKIE, HEADER, OwnersKey, owns
from tests.lab_app.apart import OWNER, OWNER_KEY, VISITOR, run_apart


def ask(
    app: Any,
    path: str = "/",
    method: str = "GET",
    body: bytes = b"",
    query: dict[str, str] | None = None,
    **headers: str,
) -> tuple[int, dict[str, str], str]:
    """(status, headers, text) of an answer."""
    given = {"host": "127.0.0.1:7860", **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": urlencode(query or {}).encode(),
        "server": ("127.0.0.1", 7860),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
    }
    sent: list[dict[str, Any]] = []
    parts = [body[i : i + 2**20] for i in range(0, len(body), 2**20)] or [b""]
    coming = [{"type": "http.request", "body": part, "more_body": i + 1 < len(parts)} for i, part in enumerate(parts)]

    async def receive() -> dict[str, Any]:
        return coming.pop(0) if coming else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    run_apart(app(scope, receive, send))
    said = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], said, b"".join(message.get("body", b"") for message in sent[1:]).decode()


async def page(scope: Any, receive: Any, send: Any) -> None:
    """Says what it was sent."""
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message.get("body", b"")[:100]})


LOOPBACK, OPEN = Gate(page, {"lab.example.org"}), Gate(page, None)


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:8000", "[::1]:7860", "lab.example.org", "LOCALHOST"])
def test_a_lab_on_loopback_answers_to_its_own_names(host):
    assert ask(LOOPBACK, host=host)[0] == 200
    assert ask(LOOPBACK, host=host, origin=f"http://{host}")[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.com", "evil.com:7860", "127.0.0.1.evil.com", "192.168.1.9:7860", "", "[", "0.0.0.0"]
)
def test_a_name_that_was_pointed_here_is_not_answered(host):
    status, _, said = ask(LOOPBACK, host=host)
    assert (status, "answers only at the address" in said) == (403, True)
    assert ask(OPEN, host=host)[0] == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.com", "https://evil.com:7860", "null", "http://127.0.0.1:9999", "", "http://["]
)
def test_another_page_is_not_answered(origin):
    for method in ("GET", "POST"):
        status, _, said = ask(LOOPBACK, method=method, origin=origin)
        assert (status, "its own pages" in said) == (403, True)


def test_a_proxy_that_was_named_may_lead_here():
    assert ask(LOOPBACK, host="127.0.0.1:7860", origin="https://lab.example.org")[0] == 200


def test_which_names_can_only_be_this_computer():
    assert [name for name in ("localhost", "127.8.9.1", "::1") if not is_loopback(name)] == []
    assert [name for name in ("0.0.0.0", "10.0.0.1", "evil.localhost.com", "") if is_loopback(name)] == []


USED = {  # of Gradio's addresses: what the page and its clients ask for
    *("/", "/config", "/static", "/assets", "/favicon.ico", "/theme.css", "/robots.txt", "/manifest.json", "/svelte"),
    *("/login", "/logout", "/pwa_icon", "/monitoring", "/{page}"),  # monitoring is switched off by its own setting
    *("/user", "/login_check", "/token", "/app_id", "/info", "/openapi.json", "/custom_component", "/file"),
    *("/reset", "/heartbeat", "/run", "/api", "/call", "/queue", "/cancel", "/startup-events", "/dev"),
}


def test_every_address_of_gradio_is_known_to_be_used_or_closed():
    """A later Gradio may bring more; then this says which."""
    source = Path(find_spec("gradio").origin).with_name("routes.py").read_text(encoding="utf-8")
    paths = set(re.findall(r'@(?:app|router)\.(?:get|post|head|put|delete)\(\s*f?"([^"]+)"', source))
    assert {"/upload", "/queue/join", "/gradio_api/deep_link"} <= paths
    for path in paths:
        first = "/" + path.removeprefix("/gradio_api/").lstrip("/").split("/")[0].split("=")[0]
        assert is_closed(path) or first in USED, path


@pytest.mark.parametrize(
    "path", ["upload", "upload/", "deep_link", "proxy=https://evil.com", "stream/x", "component_server"]
)
def test_nothing_is_kept_or_fetched_for_visitors(path):
    for prefix in ("/", "/gradio_api/"):
        assert ask(OPEN, prefix + path, "POST", b"{}")[0] == 404
        assert ask(OPEN, prefix + path)[0] == 404


def test_a_body_arrives_as_it_was_sent():
    body = json.dumps({"data": ["Zürich 🦜", 3, 0.5, None, True, {"a": [1]}]}, ensure_ascii=False).encode()
    assert ask(OPEN, "/gradio_api/queue/join", "POST", body) == (200, {}, body.decode())
    assert ask(OPEN, "/login", "POST", b"username=a&password=b")[2] == "username=a&password=b"
    assert ask(OPEN, "/gradio_api/reset", "POST")[0] == 200


def test_a_body_is_limited(monkeypatch):
    assert ask(OPEN, "/gradio_api/queue/join", "POST", b"{}", content_length=str(LARGEST_BODY + 1))[0] == 413
    assert ask(OPEN, "/gradio_api/queue/join", "POST", b"{}", content_length="many")[0] == 413
    monkeypatch.setattr(gate, "LARGEST_BODY", 3 * 2**20)
    body = b'"' + b"x" * 3 * 2**20 + b'"'  # says nothing of its length
    assert ask(OPEN, "/gradio_api/queue/join", "POST", body)[0] == 413


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[NaN]", "not JSON"),
        (b"[Infinity]", "not JSON"),
        (b"[1e400]", "not finite"),
        (b"9" * 5_000, "not JSON"),
        (b"9" * 400, "larger than"),
        (b"[" * 100_000, "nested"),
        (b"[" * 40 + b"]" * 40, "nested"),
        (rb'{"a\ud83d": 1}', "half of a character"),
        (b'[{"path": "https://evil.com/1TB", "meta": {"_type": "gradio.FileData"}}]', "Files are not accepted"),
        (b'[{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}]', "Files are not accepted"),
    ],
)
def test_a_body_that_is_not_plain_json_is_told_why(body, why):
    assert why in unfit_json(body)
    status, _, said = ask(OPEN, "/gradio_api/call/start_run", "POST", body)
    assert (status, why in said) == (400, True)


def test_nothing_talks_by_web_socket():
    said: list[Any] = []

    async def send(message: Any) -> None:
        said.append(message)

    run_apart(OPEN({"type": "websocket", "headers": []}, None, send))
    assert said == [{"type": "websocket.close", "code": 1008}]


# -- whoever runs the lab


def test_the_key_is_exchanged_for_a_cookie_and_leaves_the_address():
    app = OwnersKey(page, OWNER_KEY)
    status, said, _ = ask(app, query={"run": "a b", "key": OWNER_KEY})
    assert (status, said["location"]) == (303, "/?run=a+b")
    assert said["set-cookie"].startswith(f"{COOKIE}-7860={OWNER_KEY}; Path=/; HttpOnly; SameSite=Strict")
    status, said, _ = ask(app, "//evil.com/x", query={"key": "another"})
    assert (status, said["location"]) == (303, "/evil.com/x")
    assert "set-cookie" not in said
    assert ask(app, query={"run": "a"})[0] == 200
    assert ask(OwnersKey(page, ""), query={"key": ""})[0] == 200


def test_who_has_the_key_runs_the_lab():
    class Request:
        def __init__(self, **headers: str):
            self.headers = headers

    assert owns(OWNER, OWNER_KEY)
    plain = OWNER_KEY.replace(" ", "-")
    assert owns(Request(cookie=f"a=b; {COOKIE}-7860={plain}"), plain)
    assert owns(Request(cookie=f"{COOKIE}-7861=other; {COOKIE}-7860={plain}"), plain)
    for request in (VISITOR, None, Request(cookie=f"{COOKIE}-7860=x"), Request(**{HEADER: "é"}), Request(cookie="{;=")):
        assert not owns(request, OWNER_KEY)
    assert not owns(OWNER, "")  # a lab without a key is nobody's
    assert not owns(Request(**{HEADER: ""}), "")
