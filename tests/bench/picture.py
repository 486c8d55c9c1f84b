"""A plotly figure as SVG, drawn by plotly.js in Chromium: plotly itself draws pictures with a package more."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def as_svg(figure: Figure) -> str:
    """The SVG's text. Needs playwright and Chromium, as the page's tests do."""
    from playwright.sync_api import sync_playwright
    from plotly.offline import get_plotlyjs

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.add_script_tag(content=get_plotlyjs())
        address = page.evaluate("figure => Plotly.toImage(figure, {format: 'svg'})", json.loads(figure.to_json()))
        browser.close()
    return unquote(address.split(",", 1)[1])
