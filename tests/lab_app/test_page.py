"""The page in a browser, fed by a scripted worker: a run from start to end, its controls, and questions to it."""

from __future__ import annotations

from typing import Any

from tests.lab_app.looking import DONE, LIVE, SCORES, drawn, run
from tests.lab_app.synthetic import LANES, measured, record

PASTE = """(text) => {
    const data = new DataTransfer();
    data.setData("text/plain", text);
    const event = new ClipboardEvent("paste", { clipboardData: data, cancelable: true });
    document.querySelector("#lab-facts textarea").dispatchEvent(event);
}"""


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


def test_the_dock_says_at_which_step_an_edit_is(visit: Any, served: Any) -> None:
    page = visit(f"?run={record(served.store, rounds=6, until=2)}")
    page.wait_for_selector("#lab-dock .says >> text=Round 3 of 6, MEMIT: optimising values, step 12 of 50")


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
