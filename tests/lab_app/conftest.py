"""A served page, a scripted worker and a browser, one of each for all page tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.runs.store.store import Store
from lab_app.lab import Lab

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = Path("/usr/bin/chromium")
CUT_OFF = ("AbortError: signal is aborted", "Connection errored out")  # said where a page is left while it is fed
FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A lab of one test, where nobody is at work."""
    made = Lab(tmp_path, worker=False)
    yield made
    made.close()


class Served:
    """The lab of the page tests: its address and its store."""

    def __init__(self, address: str, store: Store):
        self.address, self.store = address.rstrip("/"), store


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("home")
    apart = 20 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])  # ports, so that no two take the same one
    command = [sys.executable, "-m", "tests.lab_app.serve", str(home), str(17860 + apart)]
    store = Store(home)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            found = re.search(r"http://\S+", process.stdout.readline() if process.stdout else "")
            assert found, "the lab did not start"
            yield Served(found[0], store)
        finally:
            process.terminate()
    store.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        message = f"no browser at {CHROMIUM}: install it with apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield opened
        opened.close()


class Visitors:
    """People with a browser each, who know nothing of each other.

    The first of a test gets a browser that remembers nobody, but has seen the page: packing, fetching and compiling
    all scripts anew takes seconds.
    """

    def __init__(self, browser: Any, used: Any):
        self._browser, self._used, self._others = browser, used, []
        self._free = True

    def page(self, size: tuple[int, int] = (1280, 800), scheme: str = "light", context: Any = None) -> Any:
        """A page of somebody new, or of the visitor whose `context` it is."""
        if context is None and self._free:
            context, self._free = self._used, False
        elif context is None:
            context = self._browser.new_context()
            self._others.append(context)
        page = context.new_page()
        page.set_viewport_size({"width": size[0], "height": size[1]})
        page.emulate_media(color_scheme=scheme)
        page.set_default_timeout(1000 * float(os.environ.get("PAGE_PATIENCE", 60)))  # more on a busy machine
        return page

    def leave(self, address: str) -> None:
        """Close everything; what a page keeps in its browser is forgotten."""
        for context in self._others:
            context.close()
        if not self._free:
            last = self._used.new_page()
            for page in self._used.pages:
                if page is not last:
                    page.close()
            kept = {"origin": address, "storageTypes": "cookies,local_storage,indexeddb"}
            self._used.new_cdp_session(last).send("Storage.clearDataForOrigin", kept)
            last.close()


@pytest.fixture(scope="session")
def used(browser: Any) -> Iterator[Any]:
    """The browser of whoever visits first in a test."""
    context = browser.new_context()
    yield context
    context.close()


@pytest.fixture
def visitors(browser: Any, used: Any) -> Visitors:
    return Visitors(browser, used)


@pytest.fixture
def visit(visitors: Visitors, served: Served) -> Iterator[Any]:
    """Opens pages. Afterwards: no request left this computer, and no page complained."""
    complaints: list[tuple[Any, str]] = []
    requests: list[str] = []
    documents: Counter[Any] = Counter()  # opened in each page, one after the other

    def open_page(
        query: str = "", size: tuple[int, int] = (1280, 800), scheme: str = "light", context: Any = None
    ) -> Any:
        page = visitors.page(size, scheme, context)
        page.on("console", lambda told: complaints.append((page, told.text)) if told.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append((page, str(error))))
        page.on("domcontentloaded", lambda: documents.update([page]))
        page.on("request", lambda asked: requests.append(asked.url))
        page.goto(f"{served.address}/{query}")
        page.wait_for_selector("#lab-dock .dock[data-status]")
        page.wait_for_selector("#lab-facts .fact, #lab-facts .rows:empty", state="attached")
        return page

    yield open_page
    visitors.leave(served.address)
    outside = [url for url in requests if not url.startswith((served.address, "data:", "blob:"))]
    assert not outside
    left = {page for page, count in documents.items() if count > 1}
    assert not [text for page, text in complaints if not (page in left and any(word in text for word in CUT_OFF))]
