"""`edit-lab` opens the page; `edit-lab COMMAND …` is `python -m core COMMAND …`, the laboratory without a page."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

COMMANDS = "run, measure, export, card, study, known, pocket"


def main(given: Sequence[str] | None = None) -> int:
    """The console script: a command if the first word is one, the page otherwise. Returns the exit status."""
    words = list(sys.argv[1:] if given is None else given)
    if words and not words[0].startswith("-"):
        from core.__main__ import main as command

        return command(words, program())
    return open_page(words)


def program() -> str:
    """The name of the program: `edit-lab`, or `app.py` in a checkout."""
    return Path(sys.argv[0]).name


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The page's options."""
    parser = argparse.ArgumentParser(
        prog=program(),
        description="Opens the page of a laboratory for editing language models.",
        epilog=""
        if program() == "app.py"
        else f"Without a page: {program()} COMMAND --help, COMMAND being {COMMANDS}.",
    )
    parser.add_argument("--host", default=None, help="address to listen on (default 127.0.0.1; 0.0.0.0: everywhere)")
    parser.add_argument("--port", type=int, default=None, help="port (default 7860, or the next free one)")
    parser.add_argument("--share", action="store_true", help="make a public link through Gradio's servers")
    parser.add_argument("--auth-file", type=Path, help="names and hashes: python -m lab_app.auth NAME makes a line")
    parser.add_argument("--models", nargs="+", default=[], metavar="NAME", help="models that visitors may edit as well")
    parser.add_argument("--datasets", nargs="+", default=[], metavar="NAME", help="data that they may use as well")
    parser.add_argument("--trust-visitors", action="store_true", help="let them name anything, as you may")
    parser.add_argument("--hostname", nargs="+", default=[], metavar="NAME", help="names of proxies that lead here")
    parser.add_argument("--worker", choices=("local", "ray"), default="local", help="where runs are computed")
    parser.add_argument("--home", type=Path, default=None, help="folder for runs (default: the platform's user data)")
    return parser.parse_args(given)


def at_a_desk() -> bool:
    """Whether this was started in a terminal of a computer with a screen: then the page is opened."""
    return sys.stdout.isatty() and (sys.platform == "darwin" or bool({"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ)))


def open_page(words: Sequence[str] | None = None) -> int:
    """Serve the page until it is stopped. Returns the exit status: 0, or 2 for bad input (one line on stderr)."""
    given = arguments(words)
    if given.worker == "ray":
        print(f"{program()}: --worker ray: not available yet; leave it out to compute on this machine", file=sys.stderr)
        return 2
    # Before gradio is imported: nothing about this lab or its visitors is sent anywhere.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

    from core.errors import UserError
    from core.paths import default_home
    from core.runs.spec.admission import Offer
    from lab_app.auth import read
    from lab_app.lab import Lab
    from lab_app.server import stubs
    from lab_app.server.gate import is_loopback

    # Where a Space or a container says by its environment where to listen, that holds.
    host = given.host or os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    port = given.port or int(os.environ.get("GRADIO_SERVER_PORT", 0)) or None
    try:
        if given.auth_file:
            read(given.auth_file)  # what is wrong with it is told before anything is started
        offered = Offer(tuple(given.models), tuple(given.datasets), given.trust_visitors)
        # Whoever started this on a desk may name anything; a lab that is open to the network knows no owner.
        key = secrets.token_hex(16) if is_loopback(host) else ""
        lab = Lab(given.home or default_home(), offered=offered, key=key)
        try:
            stubs.leave_out()
            from lab_app.launch import serve  # seconds, in which the worker begins to load as well

            if lab.store.notice:
                print(f"Edit Lab: {lab.store.notice}", file=sys.stderr)
            serve(lab, host, port, given.share, given.auth_file, show=at_a_desk(), hostnames=given.hostname)
        finally:
            lab.close()
    except UserError as error:
        print(f"{program()}: {error}", file=sys.stderr)
        return 2
    return 0
