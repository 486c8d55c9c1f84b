"""How the page lies on a screen: wide and narrow, light and dark, every control with a name, and nothing that jumps."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lab_app.looking import DONE, LIVE, SCORES, drawn
from tests.lab_app.synthetic import record, scripted


def test_both_k_are_named_on_a_phone(visit: Any, served: Any) -> None:
    page = visit(f"?run={record(served.store, rounds=3)}", (390, 844))
    drawn(page, "energy")
    legend = page.locator("#lab-panel-energy .numbers")
    assert "k of W₀ at τ = 0.1 (shaded)" in legend.inner_text()
    assert "k of Wₜ (dotted)" in legend.inner_text()
    box = legend.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    shapes = page.evaluate("document.querySelector('#lab-panel-energy .plot').layout.shapes.map(s => s.type)")
    assert shapes == ["rect", "line", "line"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


SPILLS = """() => [...document.querySelectorAll("section, article, form, .panel, .card")].filter((each) =>
    each.checkVisibility() && each.scrollHeight > each.clientHeight + 2 &&
    getComputedStyle(each).overflowY === "visible"
).map((each) => `${each.className || each.tagName} ${each.scrollHeight} > ${each.clientHeight}`)"""


def test_light_and_dark_wide_and_narrow(visit: Any, served: Any) -> None:
    finished = record(served.store, rounds=2)
    light, dark = visit(f"?run={finished}"), visit(f"?run={finished}&__theme=dark", (390, 844), "dark")
    for page in (light, dark):
        page.wait_for_selector(DONE)
        drawn(page, "scores")
        page.wait_for_selector("#lab-words article")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate(SPILLS) == []  # nothing lies over what comes below it
    grids = [page.evaluate(f"{SCORES}.layout.xaxis.gridcolor") for page in (light, dark)]
    assert grids[0] != grids[1]
    light.click("#lab-header [data-do=theme]")
    light.wait_for_function(f"{SCORES}.layout.xaxis.gridcolor === {json.dumps(grids[1])}")


NAMELESS = """() => {
    const name = (each) => each.getAttribute("aria-label") || each.title || each.textContent.trim() ||
        [...(each.labels || [])].map((label) => label.textContent).join(" ").trim();
    const all = document.querySelectorAll("button, input, select, textarea, a[href], summary, [role=slider]");
    return [...all].filter((each) => each.checkVisibility() && !name(each)).map((each) => each.outerHTML.slice(0, 120));
}"""


def test_all_that_is_pressed_or_filled_has_a_name(visit: Any, served: Any) -> None:
    finished = record(served.store, rounds=2)
    for query in ("", f"?run={finished}", "?view=runs"):
        page = visit(query)
        if query.startswith("?run"):
            page.wait_for_selector(DONE)
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        page.wait_for_timeout(300)
        assert page.evaluate(NAMELESS) == []


WATCH_SHIFTS = """() => {
    window.shifts = [];
    new PerformanceObserver((list) => {
        for (const shift of list.getEntries())
            if (!shift.hadRecentInput)
                window.shifts.push([shift.value, ...shift.sources.map(({ node, previousRect, currentRect }) =>
                    `${node?.id || node?.className} ${previousRect.y} → ${currentRect.y}`)]);
    }).observe({ type: "layout-shift" });
}"""
STILL = """() => new Promise((done) => {
    let frames = 0;
    new PerformanceObserver(() => { frames = 0; }).observe({ type: "layout-shift" });
    const next = () => (++frames > 30 ? done() : requestAnimationFrame(next));
    next();
})"""


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_nothing_moves_while_numbers_arrive(visit: Any, served: Any, size: tuple[int, int]) -> None:
    """By the browser's own measure: the share of the view that moved, times how far. A panel's plot that comes late and
    pushes the others down makes .1 to .4.

    The page looks at a run that has begun and has no numbers yet: what moves because Run was pressed (on a phone the
    header gets its legend) is not meant, and a busy machine shows that late. It has settled when 30 frames in a row
    moved nothing, however long frames take."""
    run = served.store.create_run(served.store.get(record(served.store, rounds=3)).spec)
    served.store.set_status(run, "running")
    begins, *numbers = scripted(3)
    served.store.append(run, [begins])
    page = visit(f"?run={run}", size)
    page.wait_for_selector(LIVE)
    page.wait_for_selector("#lab-header .legend .lane")
    page.evaluate("document.querySelector('#panels').scrollIntoView()")
    page.evaluate(STILL)
    page.evaluate(WATCH_SHIFTS)
    for event in numbers:
        served.store.append(run, [event])
    served.store.set_status(run, "done")
    page.wait_for_selector(DONE)
    page.wait_for_function("[...document.querySelectorAll('[id^=lab-panel-] .plot')].every((plot) => plot.data)")
    page.evaluate(STILL)
    shifts = page.evaluate("window.shifts")
    assert sum(value for value, *_ in shifts) < 0.02, shifts
