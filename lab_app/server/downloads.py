"""Files that a run has on offer, sent to whoever has the run's address."""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from core.runs.export.offered import offered_file
from core.runs.store.store import Store

PATH = "/lab/exports/{run}/{name}"


def address(run: str, name: str) -> str:
    """Where a file is fetched, below the lab's own address."""
    return f"/lab/exports/{quote(run, safe='')}/{quote(name, safe='')}"


def route(store: Store) -> Route:
    """The one address from which files of runs are fetched.

    Run and name are looked up in the store and in the run's list of files; neither becomes a path. Where people log in
    (`--auth-file`), they must have.
    """

    def send(request: Request) -> Response:
        if not let_in(request):
            return PlainTextResponse("Log in first.", status_code=401)
        found = store.get(request.path_params["run"], spec=False)
        file = offered_file(found, request.path_params["name"]) if found is not None else None
        if file is None:
            return PlainTextResponse("This file does not exist (any more). Export it again.", status_code=404)
        return FileResponse(file, filename=file.name, media_type="application/octet-stream")

    return Route(PATH, send, methods=["GET"])


def let_in(request: Request) -> bool:
    """Whether a visitor may see anything at all, as Gradio's own addresses ask it."""
    app = request.app
    if app.auth is None:
        return True
    names = (f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}")
    return any(request.cookies.get(name) in app.tokens for name in names)
