"""How long a person waits: for the page, and for the first round after Run: `python -m tests.bench.page`."""

import argparse
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.bench.machine import describe
from tests.lab_app.conftest import CHROMIUM, FLAGS

DRAWN = """() => (document.querySelector("#lab-panel-scores .js-plotly-plot")?.data ?? [])
    .some((line) => (line.x ?? []).some((edits) => edits > 0))"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, default=7990)
    options.add_argument("--patience", type=float, default=120.0, help="seconds to wait for the first round")
    options.add_argument("--wait", type=float, default=10.0, help="seconds to look at the page before Run, second time")
    arguments = options.parse_args()
    print(describe())
    for wait in (0.0, arguments.wait):
        with tempfile.TemporaryDirectory() as home:
            for visit in ("first start ever (statistics are gathered)", "second start"):
                opened, drawn = measure(Path(home), arguments.port, arguments.patience, wait)
                when = f"{wait:.0f} s after the page opened" if wait else "at once"
                print(f"{visit}: page answers after {opened:.1f} s")
                print(f"    Run pressed {when}: first round drawn {drawn:.1f} s later", flush=True)


def measure(home: Path, port: int, patience: float, wait: float) -> tuple[float, float]:
    """(seconds from `python app.py` to an answer, seconds from pressing Run to a drawn first round)."""
    start = time.perf_counter()
    command = [sys.executable, "app.py", "--home", str(home), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as lab:
        try:
            address = next(line for line in lab.stdout if "http://" in line).split()[-1]
            urllib.request.urlopen(address).read()
            return time.perf_counter() - start, first_round(address, patience, wait)
        finally:
            lab.terminate()
            lab.wait(60)


def first_round(address: str, patience: float, wait: float) -> float:
    """Press Run `wait` seconds after the page lets one (the worker gets ready meanwhile), and wait until the plot of
    the scores shows a point after the edits."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(address)
        page.locator("#start").wait_for()
        page.wait_for_timeout(1000 * wait)
        page.locator("#start").click()
        pressed = time.perf_counter()
        page.wait_for_function(DRAWN, timeout=1000 * patience)
        taken = time.perf_counter() - pressed
        page.locator("#stop").click()  # or the next start would go on with this run first
        page.wait_for_timeout(3000)
        browser.close()
    return taken


if __name__ == "__main__":
    main()
