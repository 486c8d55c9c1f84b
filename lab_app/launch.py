"""Serving the page: address, access, and no external resources."""

from __future__ import annotations

import socket
import sys
import webbrowser
from collections.abc import Collection, Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

import gradio as gr
import plotly
from starlette.middleware import Middleware

from core.errors import UserError
from lab_app import frontend
from lab_app.auth import checker, read
from lab_app.handlers.streams import PLACES
from lab_app.lab import Lab
from lab_app.markup.theme import theme
from lab_app.page import build
from lab_app.server import downloads
from lab_app.server.compression import CompressedStreams
from lab_app.server.gate import Gate, hostname, is_loopback
from lab_app.server.headers import SafeHeaders
from lab_app.server.owner import IN_ADDRESS, OwnersKey

PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
FIRST_PORT, PORTS = 7860, 100
EXPOSED = (
    "This lab has no login, and {where}: anyone who reaches it can start runs on this computer with what you offer "
    "(--models, --datasets). Start it with --auth-file users.txt to admit only people whom you know."
)


def free_port(host: str, wanted: int | None) -> int:
    """The wanted port or, where it is taken (or none is wanted), the next free one. Raises `UserError`."""
    first = FIRST_PORT if wanted is None else wanted
    for port in range(first, min(first + PORTS, 65536)):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except PermissionError:
                raise UserError(f"--port {port}: not allowed; choose one from 1024 on") from None
            except OSError as error:
                if isinstance(error, socket.gaierror) or error.errno in (99, 101):
                    raise UserError(f"--host {host}: not an address of this computer") from None
                continue
            return port
    raise UserError(f"no free port from {first} to {first + PORTS - 1}; choose another with --port")


def head() -> str:
    """The page's head: Plotly from the installed package, and the lab's modules."""
    return f'<script defer src="/gradio_api/file={PLOTLY}"></script>\n{frontend.head()}\n'


def serve(
    lab: Lab,
    host: str = "127.0.0.1",
    port: int | None = None,
    share: bool = False,
    auth_file: Path | None = None,
    block: bool = True,
    show: bool = False,
    hostnames: Sequence[str] = (),
) -> tuple[gr.Blocks, str]:
    """Serve the lab, and open it in a browser if `show`; returns page and address, after it was closed if `block`.

    On loopback it answers to its own name alone, and to `hostnames`: those of proxies that lead here.
    """
    auth = checker(read(auth_file)) if auth_file else None
    port = free_port(host, port)
    names = {name.lower() for name in hostnames} if is_loopback(host) else None
    if warning := exposure(host, share, auth is not None):
        lab.exposed = warning
        print(f"Edit Lab: WARNING: {warning}", file=sys.stderr, flush=True)
    gr.set_static_paths([PLOTLY])
    page = build(lab)
    with redirect_stdout(StringIO()) as said:  # Gradio announces its MCP server, however quiet it is asked to be
        _, address, shared = page.launch(
            server_name=host,
            server_port=port,
            share=share,
            auth=auth,
            prevent_thread_lock=True,
            quiet=True,
            max_threads=PLACES,
            **quiet_and_safe(lab, auth is not None, names),
        )
    if shared and names is not None:
        names.add(hostname(shared))
    if shared:
        print(f"Edit Lab, for visitors: {shared}", flush=True)
    elif share:
        print(said.getvalue(), flush=True)  # why there is no link
    own = f"{address}?{IN_ADDRESS}={lab.key}" if lab.key else address
    print(f"Edit Lab: {own}", flush=True)
    if show:
        webbrowser.open(own)
    if block:
        page.block_thread()
    return page, address


def exposure(host: str, share: bool, logins: bool) -> str:
    """A warning for a lab that other computers can reach; "" if only this computer can."""
    if logins or (is_loopback(host) and not share):
        return ""
    return EXPOSED.format(where="a public link leads to it" if share else f"it listens on {host}")


def quiet_and_safe(lab: Lab, logins: bool, names: Collection[str] | None) -> dict[str, Any]:
    """The settings of every served page: its look, its gate (`names` as in `Gate`), and no telemetry.

    The endpoints are tools for MCP clients too where `mcp` is installed, but not where people log in: Gradio asks
    nobody there.
    """
    return {
        "theme": theme(),
        "favicon_path": frontend.FAVICON,
        "css_paths": frontend.sheets(),
        "head": head(),
        "footer_links": [],
        "run_history": False,  # the store keeps runs; a visitor's browser keeps nothing but its own key
        "enable_monitoring": False,
        "strict_cors": True,
        "allowed_paths": [],
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": not logins and find_spec("mcp") is not None,
        "show_error": False,  # what a handler tells people is told; what Python says is not
        "app_kwargs": {
            "middleware": [
                *(Middleware(SafeHeaders), Middleware(Gate, hosts=names), Middleware(OwnersKey, key=lab.key)),
                Middleware(CompressedStreams),
            ],
            "routes": [downloads.route(lab.store), frontend.route()],
        },
    }
