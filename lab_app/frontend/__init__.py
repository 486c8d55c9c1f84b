"""The page's scripts and style sheets, and how a browser gets them.

Scripts are ES modules, served unchanged: there is no build step. Their address contains a digest of all of them, so
that a browser may cache them forever and never mixes two versions. Python refers only to `main.js`.
"""

from __future__ import annotations

import gzip
import hashlib
from functools import lru_cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

HERE = Path(__file__).parent
FAVICON = HERE / "favicon.svg"
PATH = "/lab/frontend"
ENTRY = "main.js"
FIRST = "shared"  # the room whose sheets come before those of the others
HEADERS = {"content-type": "text/javascript; charset=utf-8", "vary": "accept-encoding"}
FOR_GOOD = {**HEADERS, "cache-control": "public, max-age=31536000, immutable"}


@lru_cache(maxsize=1)
def modules() -> dict[str, bytes]:
    """The modules by their path below this folder, e.g. "shared/dom.js", without tests and development tools."""
    found = sorted(path for path in HERE.glob("*/*.js") if "node_modules" not in path.parts) + [HERE / ENTRY]
    return {
        path.relative_to(HERE).as_posix(): path.read_bytes() for path in found if not path.name.endswith(".test.js")
    }


@lru_cache(maxsize=1)
def version() -> str:
    """A digest of all modules, part of their addresses."""
    digest = hashlib.sha256()
    for name, content in modules().items():
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:12]


def address(name: str = ENTRY) -> str:
    """The path of a module below the lab's address."""
    return f"{PATH}/{version()}/{name}"


def sheets() -> list[Path]:
    """All sheets: the shared ones first, then each room's by name.

    Gradio takes them as text and keeps only plain rules, `@media`, `@keyframes` and `@font-face`: neither `@layer` nor
    `@import` reaches the browser.
    """
    return sorted(HERE.glob("*/*.css"), key=lambda path: (path.parent.name != FIRST, path.relative_to(HERE)))


def head() -> str:
    """The part of the page's head that preloads all modules at once."""
    return "\n".join(f'<link rel="modulepreload" href="{address(name)}">' for name in modules())


def route() -> Route:
    """The route of the modules. A name is looked up among them and never used as a path."""
    packed = {name: gzip.compress(content, 6, mtime=0) for name, content in modules().items()}

    def send(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in packed or request.path_params["version"] != version():
            return PlainTextResponse("This page belongs to an earlier version of the lab. Reload it.", status_code=404)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(packed[name], headers={**FOR_GOOD, "content-encoding": "gzip"})
        return Response(modules()[name], headers=FOR_GOOD)

    return Route(PATH + "/{version}/{name:path}", send, methods=["GET"])
