"""Downloads of a run's exported files, for anyone who has the run's address."""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from core.runs.export.offered import offered_file
from core.runs.store.store import Store

PATH = "/lab/exports/{run}/{name}"


def address(run: str, name: str) -> str:
    """The path of a file below the lab's address."""
    return f"/lab/exports/{quote(run, safe='')}/{quote(name, safe='')}"


def route(store: Store) -> Route:
    """The route of runs' files.

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
    """Whether a visitor is logged in, checked as Gradio's own routes do."""
    app = request.app
    if app.auth is None:
        return True
    names = (f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}")
    return any(request.cookies.get(name) in app.tokens for name in names)
