"""The page in a browser, fed by a scripted worker."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from tests.lab_app.synthetic import LANES, measured, record, scripted, started

LIVE = "#lab-dock .dock[data-status=running]"
DONE = "#lab-dock .dock[data-status=done]"
PASTE = """(text) => {
    const data = new DataTransfer();
    data.setData("text/plain", text);
    const event = new ClipboardEvent("paste", { clipboardData: data, cancelable: true });
    document.querySelector("#lab-facts textarea").dispatchEvent(event);
}"""
SCORES = "document.querySelector('#lab-panel-scores .plot')"


def lines(page: Any, panel: str) -> int:
    """How many curves a panel draws."""
    return page.evaluate(f"(document.querySelector('#lab-panel-{panel} .plot').data || []).length")


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


def test_a_run_from_the_first_page(visit: Any, served: Any) -> None:
    page = visit()
    assert "null" not in page.inner_text("body")
    first = page.locator("#lab-facts .fact").first
    first.locator("[data-column=subject]").fill("France 🇫🇷 فرنسا")
    first.locator("[data-column=target]").fill("<img src=x onerror=window.pwned=1>")
    typed = run(page, 30, 10)
    page.wait_for_selector(DONE)
    spec = served.store.get(typed).spec
    assert spec["facts"]["items"][0]["subject"] == "France 🇫🇷 فرنسا"
    assert len(spec["lanes"]) == 2
    for panel in ("scores", "tasks", "energy", "similarity", "drift", "map"):
        drawn(page, panel)
    page.wait_for_selector("#lab-words article")
    assert "<img src=x" in page.inner_text("#lab-words")  # as text
    page.fill("#lab-probe input[type=text]", "The capital of France is")
    page.press("#lab-probe input[type=text]", "Enter")
    page.wait_for_selector("#lab-probe .answers .words >> text=says MEMIT + REVIVE")
    assert page.inner_text("#lab-probe .answers").count("Paris") >= 1
    assert not page.evaluate("window.pwned")
    assert page.locator("#lab-words img, #lab-probe .answers b:has-text('says')").count() == 0


def test_the_zoom_outlives_an_update(visit: Any, served: Any) -> None:
    started = record(served.store, rounds=6, until=3)
    page = visit(f"?run={started}")
    drawn(page, "scores")
    page.evaluate(f"{SCORES}.dataset.mine = 1; Plotly.relayout({SCORES}, {{'xaxis.range': [20, 90]}})")
    for lane in LANES:
        served.store.append(started, [measured(lane, 4, 6, 50)])
    page.wait_for_function(f"{SCORES}.data.at(-1).x.length === 5")
    assert page.evaluate(f"{SCORES}.layout.xaxis.range") == [20, 90]
    assert page.evaluate(f"{SCORES}.dataset.mine") == "1"  # the same element
    served.store.set_status(started, "stopped")


def test_an_address_brings_a_run_back_and_the_scrubber_leads_all(visit: Any, served: Any) -> None:
    finished = record(served.store, rounds=5)
    page = visit(f"?run={finished}")
    page.wait_for_selector(DONE)
    drawn(page, "energy")
    latest = page.evaluate("document.querySelector('#lab-panel-energy .plot').data[1].y[0]")
    assert "Round 5 of 5" in page.inner_text("#lab-dock")
    page.evaluate("r = document.querySelector('#lab-dock input'); r.value = 1; r.dispatchEvent(new Event('input'))")
    page.wait_for_function(f"document.querySelector('#lab-panel-energy .plot').data[1].y[0] < {latest}")
    assert "Round 1 of 5" in page.inner_text("#lab-dock")
    assert "after round 1" in page.inner_text("#lab-words")
    page.click("#lab-dock .live")
    page.wait_for_function(f"document.querySelector('#lab-panel-energy .plot').data[1].y[0] === {latest}")
    page.click("#lab-panel-scores [data-do=table]")
    assert page.locator("#lab-panel-scores .as-table tbody tr").count() == 12
    page.click("#lab-panel-energy .save summary")
    with page.expect_download() as download:
        page.click("#lab-panel-energy [data-do=svg]")
    assert download.value.path().read_text().startswith("<svg")
    page.click("#lab-panel-scores .save summary")
    with page.expect_download() as download:
        page.click("#lab-panel-scores [data-do=csv]")
    assert download.value.path().read_text().startswith("lane,round,edits,scored,efficacy")
    page.click("#lab-header .legend .lane >> nth=0")
    page.wait_for_function("document.querySelector('#lab-panel-energy .plot').data.length === 2")


def test_a_closed_tab_stops_nothing(visit: Any, served: Any) -> None:
    page = visit()
    context = page.context
    started = run(page, 60, 10)
    page.close()
    page = visit(f"?run={started}", context=context)
    page.wait_for_selector(DONE)
    assert page.input_value("#round-size input") == "10"  # the form says again what was asked
    page.click("#lab-header .menu summary")
    assert page.locator("#lab-header .runs a").count() >= 1
    assert not visit(context=None).locator("#lab-header .runs a").count()  # another browser sees none of them


def test_pause_step_stop(visit: Any, served: Any) -> None:
    page = visit()
    started = run(page, 1000, 4)  # far more than is waited for
    page.click("#pause")
    page.wait_for_selector("#lab-dock .dock[data-status=paused]")
    page.wait_for_selector("#pause >> text=Resume")
    page.click("#pause")
    page.wait_for_selector(LIVE)
    page.click("#stop")
    page.wait_for_selector("#lab-dock .dock[data-status=stopped]")
    assert served.store.get(started).status == "stopped"


def test_undo_takes_the_page_back_a_round(visit: Any, served: Any) -> None:
    finished = record(served.store, rounds=5)
    page = visit(f"?run={finished}")
    page.wait_for_selector(DONE)
    drawn(page, "scores")
    page.wait_for_function(f"{SCORES}.data.at(-1).x.length === 6")
    page.evaluate("r = document.querySelector('#lab-dock input'); r.value = 3; r.dispatchEvent(new Event('input'))")
    page.click("#undo")
    page.wait_for_selector("#lab-dock .dock[data-status=paused] .says >> text=Back at the end of round 4")
    page.wait_for_function(f"{SCORES}.data.at(-1).x.length === 5")
    assert "Round 3 of 5" in page.inner_text("#lab-dock")  # what is looked at stays
    page.click("#undo")
    page.click("#undo")  # undone twice at most, however often it is pressed meanwhile
    page.wait_for_function(f"{SCORES}.data.at(-1).x.length < 5")
    page.wait_for_selector("#pause >> text=Resume")
    empty = served.store.create_run(served.store.get(finished).spec)
    served.store.set_status(empty, "stopped")
    page = visit(f"?run={empty}")
    page.wait_for_selector("#undo:enabled")
    page.click("#undo")
    page.wait_for_selector("#run-problem >> text=nothing to undo")


def test_the_unedited_model_answers_before_any_run(visit: Any) -> None:
    page = visit()
    page.fill("#lab-probe input[type=text]", "The capital of France is")
    page.press("#lab-probe input[type=text]", "Enter")
    page.wait_for_selector("#lab-probe .hint >> text=The model pocket, before any edit")
    assert page.locator("#lab-probe .answers dd").count() == 1
    assert "Paris" in page.inner_text("#lab-probe .answers dd")
    assert page.locator("#lab-probe .without").is_hidden()


def test_a_round_can_be_left_out_of_an_answer(visit: Any, served: Any) -> None:
    page = visit(f"?run={record(served.store, rounds=5)}")
    page.wait_for_selector(DONE)
    page.evaluate("r = document.querySelector('#lab-dock input'); r.value = 3; r.dispatchEvent(new Event('input'))")
    page.check("#lab-probe .without input")
    page.fill("#lab-probe input[type=text]", "The capital of France is")
    page.press("#lab-probe input[type=text]", "Enter")
    page.wait_for_selector("#lab-probe .answers >> text=all but [3]")
    assert "without round 3" in page.inner_text("#lab-probe .answers")


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


def test_the_dock_says_at_which_step_an_edit_is(visit: Any, served: Any) -> None:
    page = visit(f"?run={record(served.store, rounds=6, until=2)}")
    page.wait_for_selector("#lab-dock .says >> text=Round 3 of 6, MEMIT: optimizing values, step 12 of 50")


def test_problems_stand_where_they_are(visit: Any) -> None:
    page = visit()
    rows = page.locator("#lab-facts .fact")
    rows.nth(0).locator("[data-column=prompt]").fill("no slot here")
    rows.nth(1).locator("[data-column=target]").fill("")
    rows.nth(2).locator("[data-column=target]").fill("Paris")
    page.locator("#lab-lanes .lane-card").nth(1).locator(".more summary").click()
    page.fill("#lab-lanes .lane-card >> nth=1 >> [aria-label=steps]", "many")
    page.click("#start")
    page.wait_for_selector("#lab-facts .note.error >> text=3 rows cannot be used")
    page.wait_for_selector("#lab-facts .problem >> text=does not mention its subject")
    assert "empty" in rows.nth(1).inner_text()
    assert "old answer" in rows.nth(2).inner_text()
    assert rows.nth(0).locator("[data-column=prompt]").input_value() == "no slot here"  # nothing is lost
    assert "steps" in page.locator("#lab-lanes .lane-card").nth(1).locator(".problem").inner_text()
    page.click("#lab-facts [data-do=clear]")
    page.fill("#count input", "0")
    page.press("#count input", "Tab")
    page.click("#start")
    page.wait_for_selector("#lab-facts .note.error >> text=no facts")
    page.click("#lab-facts .paste summary")
    page.evaluate(PASTE, "\n".join(f"Person {i}\t{{}} lives in\tRome" for i in range(100_000)))
    page.wait_for_selector("#lab-facts .note.error >> text=at most 20,000")
    page.fill("#lab-facts textarea", "subject,prompt,target\nמשה,{} was born in,Rome\n")
    page.click("#lab-facts [data-do=read]")
    page.wait_for_selector("#lab-facts .fact")
    assert page.locator("#lab-facts [data-column=subject]").input_value() == "משה"


def test_two_quick_edits_are_both_kept(visit: Any, served: Any) -> None:
    page = visit()
    for place, name in enumerate(("Aaa", "Bbb", "Ccc")):
        page.locator("#lab-facts [data-column=subject]").nth(place).fill(name)
    started = run(page, 0, 10)
    page.wait_for_selector(DONE)
    assert [row["subject"] for row in served.store.get(started).spec["facts"]["items"][:3]] == ["Aaa", "Bbb", "Ccc"]


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


def test_a_wrong_address_says_so(visit: Any) -> None:
    page = visit("?run=nothing-here")
    page.wait_for_selector("#lab-dock .says >> text=does not exist")


def test_a_round_of_news_is_small(visit: Any) -> None:
    """Under 10 KB on the wire for two lanes with all default panels."""
    page = visit()
    wire, addresses, sizes = page.context.new_cdp_session(page), {}, {"plain": 0, "sent": 0}

    def came(told: Any) -> None:
        if "queue/data" in addresses.get(told["requestId"], ""):
            sizes["plain"] += told["dataLength"]
            sizes["sent"] += told["encodedDataLength"]

    wire.send("Network.enable")
    wire.on("Network.requestWillBeSent", lambda told: addresses.update({told["requestId"]: told["request"]["url"]}))
    wire.on("Network.dataReceived", came)
    run(page, 300, 10)
    page.wait_for_selector(DONE)
    assert 30 * 1_000 < sizes["plain"] < 30 * 40_000  # what differs, not all rows again
    assert 0 < sizes["sent"] < 30 * 10_000


def test_what_no_edit_gives_is_drawn_as_it_was_measured(visit: Any, served: Any) -> None:
    """R_k of a second pass and of other inputs, what guessing gets, and SS over j: each beside its stored numbers."""
    finished = record(served.store, rounds=3)
    events = [event for _, event in served.store.events(finished)]
    started, last = events[0], [event for event in events if event["kind"] == "measured"][-1]
    page = visit(f"?run={finished}")
    page.wait_for_selector(DONE)
    drawn(page, "drift")
    traces = page.evaluate(
        "document.querySelector('#lab-panel-drift .plot').data.map(({ x, y, customdata, name }) =>"
        " ({ x, y, customdata, name }))"
    )
    found = {trace["name"]: trace for trace in traces}
    control, layer = started["controls"][-1], last["drift"][-1]  # of the last layer, which is shown at first
    still, others = "null edit", "other inputs, no edit"
    for name, stored in ((still, control["null"]), (others, control["resampled"]), (LANES[1], layer["rk"])):
        wanted = [float(f"{stored[k - 1]:.4g}") for k in found[name]["x"]]
        assert found[name]["customdata"] == wanted
        above = min(value for trace in traces for value in trace["customdata"] if value > 0)
        assert found[name]["y"] == [value if value > 0 else found[still]["y"][0] for value in wanted]
        assert 0 < found[still]["y"][0] < above  # the axis has no zero: at its foot
    assert "null edit: 0" in page.text_content("#lab-panel-drift .plot")
    assert started["reads"]["drift"] in page.inner_text("#lab-panel-drift .protocol")
    drawn(page, "tasks")
    at = page.evaluate("document.querySelector('#lab-panel-tasks .plot').layout.shapes.map(({ y0 }) => y0)")
    assert at[1] == sum(info["chance"] for info in started["tasks"].values()) / len(started["tasks"])
    assert "guessing: 37.5 %" in page.text_content("#lab-panel-tasks .plot")
    drawn(page, "directions")
    j, first = page.evaluate(
        "(({ x, y }) => [x, y])(document.querySelector('#lab-panel-directions .plot').data"
        f".find(({{ lane }}) => lane === {json.dumps(LANES[0])}))"
    )
    plain = [event for event in events if event["kind"] == "measured" and event["lane"] == LANES[0]][-1]["similarity"][
        -1
    ]
    stored = dict(zip(plain["index_right"], plain["ss_right_first"], strict=True))
    assert first == [round(stored[one - 1], 3) for one in j]
    assert j[first.index(max(first))] == 40  # where the first direction has gone
    kept = page.evaluate("document.querySelector('#lab-panel-scores .plot').data.filter(({ lane }) => lane).at(-1).y")
    assert kept[-1] == float(f"{last['scores']['locality_kept']:.4g}")


def test_a_task_that_is_no_share_has_an_axis_of_its_own(visit: Any, served: Any, monkeypatch: Any) -> None:
    """A correlation is drawn from −1 to 1, named at its number, and not among the tasks that the mean is over."""

    def with_cola(*given: Any, **options: Any) -> Any:
        named = {"chance": 0.5, "in_mean": True, "metric": "acc", "called": "accuracy"}
        cola = {"chance": None, "in_mean": False, "metric": "mcc", "called": "Matthews correlation, −1 to 1"}
        tasks = {"sentiment": named, "entailment": cola, "arithmetic": named}
        return replace(started(*given, **options), tasks=tasks)

    monkeypatch.setattr("tests.lab_app.synthetic.started", with_cola)
    page = visit(f"?run={record(served.store, rounds=3)}")
    page.wait_for_selector(DONE)
    drawn(page, "tasks")
    axis = "document.querySelector('#lab-panel-tasks .plot').layout.yaxis.range"
    panel = page.locator("#lab-panel-tasks")
    assert "mean of 2 tasks" in panel.inner_text()
    assert page.evaluate(axis) == [-0.03, 1.03]
    panel.get_by_role("button", name="entailment").click()
    page.wait_for_function(f"{axis}[0] === -1.03")
    assert "Matthews correlation" in panel.inner_text()


def test_a_panel_without_numbers_says_why(visit: Any, served: Any) -> None:
    run = served.store.create_run(served.store.get(record(served.store, rounds=1)).spec)
    served.store.set_status(run, "stopped")  # at once, or the worker takes it
    event = started(1, 50)
    served.store.append(
        run, [replace(event, reads={}, controls=[], lacking={"drift": "R_k was left out: few tokens."})]
    )
    served.store.append(run, [replace(measured(LANES[0], 0, 1, 50), drift=[])])
    served.store.set_status(run, "stopped")
    page = visit(f"?run={run}")
    page.locator("#lab-panel-drift").scroll_into_view_if_needed()
    page.wait_for_selector("#lab-panel-drift .empty >> text=R_k was left out: few tokens.")
