"""What tests of the page do with it: press Run, wait for a state of the run, wait until a panel is drawn."""

from __future__ import annotations

import json
import re
from typing import Any

LIVE = "#lab-dock .dock[data-status=running]"
DONE = "#lab-dock .dock[data-status=done]"
SCORES = "document.querySelector('#lab-panel-scores .plot')"


def drawn(page: Any, panel: str) -> None:
    page.locator(f"#lab-panel-{panel}").scroll_into_view_if_needed()
    page.wait_for_function(f"(document.querySelector('#lab-panel-{panel} .plot').data || []).length > 0")


def run(page: Any, count: int = 30, size: int = 10) -> str:
    """Press Run; returns the run's id, as the address has it."""
    before = page.url
    page.fill("#count input", str(count))
    page.fill("#round-size input", str(size))
    page.press("#round-size input", "Tab")
    page.click("#start")
    page.wait_for_function(f"location.href !== {json.dumps(before)}")
    return re.search(r"run=([\w-]+)", page.url)[1]
