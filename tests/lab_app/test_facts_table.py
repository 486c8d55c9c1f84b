"""The table of facts in a browser: what it says of cells, files and orders."""

from __future__ import annotations

import json

from core.facts.typed import parse_rows
from tests.lab_app.looking import DONE, run
from tests.lab_app.modules import call
from tests.lab_app.test_facts_source import file

CASES = [
    {"subject": "France", "prompt": "The capital of {} is", "target": "Rome", "truth": "Paris"},
    {"subject": "", "prompt": "The capital of {} is", "target": "Rome"},
    {"subject": "France", "prompt": " ", "target": "Rome"},
    {"subject": "France", "prompt": "The capital of {} is", "target": "", "truth": "Paris"},
    {"subject": "France", "prompt": "{} and {}", "target": "Rome"},
    {"subject": "France", "prompt": "The capital is", "target": "Rome"},
    {"subject": "a", "prompt": "a b a c", "target": "Rome"},
    {"subject": "a", "prompt": "The a is", "target": "Rome"},
    {"subject": "France", "prompt": "The capital of {} is", "target": "Rome", "truth": " Rome "},
    {"subject": "F" * 2001, "prompt": "The capital of {} is", "target": "Rome"},
    {"subject": "👩‍🚀" * 600, "prompt": "{} lives in", "target": "Rome"},
    {"subject": "e\u0301", "prompt": "The \u00e9 is", "target": "Rome"},
    {"subject": "Rome", "prompt": "The Romeo plays", "target": "Lyon"},
    {"subject": "Rome", "prompt": "Rome and Romeo are", "target": "Lyon"},
    {"subject": "5", "prompt": "The 5.5 is", "target": "Lyon"},
    {"subject": "5", "prompt": "The -5 is", "target": "Lyon"},
    {"subject": "東京", "prompt": "東京タワーの高さは", "target": "Lyon"},
    {"subject": "アメ", "prompt": "アメリカは", "target": "Lyon"},
    {"subject": "서울", "prompt": "서울은", "target": "Lyon"},
    {"subject": "हिन्द", "prompt": "हिन्दी is", "target": "Lyon"},
    {"subject": "👩", "prompt": "👩‍🚀 lives in", "target": "Lyon"},
]


def test_the_browser_says_what_the_worker_would_say(visit):
    page = visit()
    for row in CASES:
        found = call(page, "facts/cells.js", "problems", row)
        expected = [[problem.column, problem.message] for problem in parse_rows([row])[1]]
        assert found[:1] == expected, row


def test_cells_are_checked_as_they_are_typed(visit):
    page = visit()
    row = page.locator("#lab-facts .fact").first
    row.locator("[data-column=prompt]").fill("The capital is")
    row.locator(".problem >> text=does not mention its subject").wait_for()
    assert row.locator("[data-column=prompt]").get_attribute("aria-invalid") == "true"
    assert row.locator("[data-column=target]").get_attribute("aria-invalid") is None
    row.locator("[data-column=prompt]").fill("The capital of {} is")
    page.wait_for_function("!document.querySelector('#lab-facts .fact .problem').textContent")
    row.locator("[data-column=target]").fill("")
    assert row.locator(".problem").inner_text() == ""  # not while it is being typed
    page.focus("#lab-facts .fact >> nth=1 >> [data-column=subject]")  # another row
    row.locator(".problem >> text=New answer: empty").wait_for()
    row.locator("[data-column=target]").fill("Rome")
    page.click("#lab-facts [data-do=add]")
    last = page.locator("#lab-facts .fact").last
    last.locator("[data-column=prompt]").fill("The capital of {} is")
    last.locator("[data-column=subject]").fill("Frence")
    last.locator("[data-column=target]").fill("<b>Lyon</b>")
    if page.locator("#lab-facts .template").is_visible():  # the pocket world is here
        last.locator(".hint >> text=Did you mean France?").wait_for()
        page.click("#lab-facts .template summary")
        page.select_option("#lab-facts .relation", "capital")
        page.fill("#lab-facts [aria-label='Subject of the template']", "Italy")
        page.wait_for_selector("#lab-facts .template .hint >> text=was taught Rome")
        page.fill("#lab-facts [aria-label='New answer of the template']", "Oslo")
        page.press("#lab-facts [aria-label='New answer of the template']", "Enter")
        assert page.locator("#lab-facts .fact").last.locator("[data-column=truth]").input_value() == "Rome"
    last = page.locator("#lab-facts .fact").last
    last.locator("[data-column=subject]").fill("France")
    last.locator(".hint >> text=Same question as row 1").wait_for()


def test_a_file_an_order_and_the_spec(visit, served, tmp_path):
    page = visit()
    page.click("#lab-facts [data-do=clear]")
    page.click("#lab-facts .paste summary")
    big = file(tmp_path, "big.csv", "x" * 16_100_000)
    page.set_input_files("#lab-facts input[type=file]", big)
    page.wait_for_selector("#lab-facts .note.error >> text=at most 16 MB")
    mine = "subject,prompt,target\nItaly,The capital of {} is,Lyon\nPeru,The capital of {} is,\n"
    page.set_input_files("#lab-facts input[type=file]", file(tmp_path, "mine.csv", mine))
    page.wait_for_selector("#lab-facts .note >> text=mine.csv: 2 rows added")
    page.wait_for_selector("#lab-facts .fact >> nth=1 >> text=New answer: empty")
    page.fill("#lab-facts .fact >> nth=1 >> [data-column=target]", "Oslo")
    page.select_option("#lab-facts .order", "adversarial")
    page.fill("#count input", "0")
    page.press("#count input", "Tab")
    page.click("#lab-experiment-title [data-do=spec]")
    page.wait_for_selector("dialog.spec[open] pre >> text=adversarial")
    sent = json.loads(page.inner_text("dialog.spec pre"))
    assert [item["target"] for item in sent["facts"]["items"]] == ["Lyon", "Oslo"]
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog.spec", state="hidden")
    started = run(page, 0, 1)
    page.wait_for_selector(DONE)
    kept = served.store.get(started).spec["facts"]
    assert (kept["order"], len(kept["items"])) == ("adversarial", 2)
    page = visit(f"?run={started}")
    page.wait_for_selector(DONE)
    page.wait_for_function("document.querySelector('#lab-facts .order').value === 'adversarial'")
    page.select_option("#lab-facts .source", "counterfact ")
    page.wait_for_selector("#lab-facts .source-hint >> text=fetches azhx/counterfact when the run starts")
