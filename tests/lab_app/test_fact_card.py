"""The card of a fact: without a browser and in one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from core.runs.store.store import Store
from lab_app.features import fact_card
from lab_app.features.fact_card import Cards
from lab_app.handlers.actions import Actions
from lab_app.lab import Lab
from tests.lab_app.apart import run_apart
from tests.lab_app.modules import call
from tests.lab_app.studied import MARKUP
from tests.lab_app.synthetic import LANES, record
from tests.lab_app.worker import ScriptedWorker

CARD = "#lab-card dialog"


def cards(lab: Lab) -> Cards:
    return Cards(SimpleNamespace(lab=lab, actions=Actions(lab)))


def looked(lab: Lab, run: str, **data: Any) -> list[dict[str, Any]]:
    async def all_of_them() -> list[dict[str, Any]]:
        return [value async for value in cards(lab).look(run, SimpleNamespace(_data=data))]

    return run_apart(all_of_them())


def test_every_lane_is_asked(tmp_path):
    lab = Lab(tmp_path, worker=False)
    with ScriptedWorker(lab.store, pace=0.01):
        run = record(lab.store, rounds=2)
        found = looked(lab, run, fact=1, round=2, place=7)
    assert [len(value["lanes"]) for value in found] == [1, 2]
    assert [lane["lane"] for lane in found[-1]["lanes"]] == list(LANES)
    assert (found[-1]["place"], found[-1]["of"], found[-1]["message"]) == (7, 2, "")
    assert looked(lab, "", fact=1)[-1]["message"] == "This run has no lane yet."
    lab.store.close()


def test_nobody_there_to_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(fact_card, "PATIENCE", 0.1)
    lab = Lab(tmp_path, worker=False)
    run = record(lab.store, rounds=1)
    assert looked(lab, run, fact=1)[-1]["message"] == fact_card.LATER
    asked = Store(tmp_path).waiting()
    assert [(command.kind, command.payload["lane"]) for command in asked] == [("fact", lane) for lane in LANES]
    lab.store.close()


def test_a_fact_is_opened_read_and_closed(visit: Any, served: Any) -> None:
    page = visit(f"?run={record(served.store, rounds=4)}", (1280, 800))
    first = page.locator("#lab-words button.ask").first
    first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{CARD}[open] .answers-over-rounds tbody tr")
    text = page.inner_text(CARD)
    for part in ("Paraphrases", "Neighbors", "round 4", "edited", "0" * 16, "12.5 %", "75.0 %", MARKUP):
        assert part in text
    cells = page.locator(f"{CARD} .lens tbody tr:not(.kind) td")
    assert cells.count() == 2 * 2 * 2 * 3  # places, objects, rounds, layers
    assert cells.nth(5).get_attribute("title") == "after layer 2: 80.0 %; likeliest token: Lyon"
    assert page.locator(f"{CARD} .lens td.new.first").count() == 2  # at both places after the edit
    assert page.evaluate(f"document.querySelector('{CARD}').contains(document.activeElement)")
    page.click(f"{CARD} .of-lane button >> nth=1")
    assert page.get_attribute(f"{CARD} .of-lane button >> nth=1", "aria-pressed") == "true"
    page.keyboard.press("Escape")
    page.wait_for_selector(f"{CARD}:not([open])", state="attached")
    assert page.evaluate("document.activeElement.matches('#lab-words button.ask')")  # back where it was opened
    assert not page.evaluate("window.pwned")
    page.locator("#lab-panel-map").scroll_into_view_if_needed()
    plot = "document.querySelector('#lab-panel-map .plot')"
    page.wait_for_function(f"({plot}.data || []).length > 0")
    call(page, "facts/card.js", "openFact", 5)  # fact 5 has a point
    page.wait_for_selector(f"{CARD}[open] .to-map")
    page.click(f"{CARD} .to-map")
    page.wait_for_function(f"{plot}.data.filter(trace => trace.marker?.symbol === 'circle-open').length === 2")


def test_a_card_fits_a_phone_in_the_dark(visit: Any, served: Any) -> None:
    page = visit(f"?run={record(served.store, rounds=4)}&__theme=dark", (390, 844), "dark")
    page.wait_for_selector("#lab-words button.ask")
    call(page, "facts/card.js", "openFact", 2, True)
    page.wait_for_selector(f"{CARD}[open] .proof >> text=unedited facts")
    box = page.locator(CARD).bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    page.click(f"{CARD} .close")
