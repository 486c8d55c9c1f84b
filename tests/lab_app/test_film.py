"""The film strip: saved prompts at every measured round, in a run's rows, without a browser and in one."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from core.runs.store.store import Store
from lab_app.features import film
from lab_app.features.film import Films
from lab_app.form import experiment
from lab_app.handlers.actions import Actions
from lab_app.handlers.words import SHORT, words
from lab_app.lab import Lab
from tests.lab_app.apart import run_apart
from tests.lab_app.synthetic import LANES, measured, record
from tests.lab_app.worker import ScriptedWorker

PROMPTS = ["The capital of France is", "A river is"]
STRIP = "#lab-film"


def asked(number: int) -> dict[str, Any]:
    """A measured event whose spec had `PROMPTS`."""
    texts = ["Paris. It is", f"the <b>Rhine</b> of {number}"]
    said = [{"prompt": prompt, "text": text} for prompt, text in zip(PROMPTS, texts, strict=True)]
    return measured(LANES[0], number, 4, 50).as_dict() | {"probes": said}


def test_prompts_are_sent_once_and_rows_stay_small():
    first, later = words(asked(0)), words(asked(2))
    assert first["prompts"] == PROMPTS
    assert first["probes"] == ["Paris. It is", "the <b>Rhine</b> of 0"]
    assert "prompts" not in later
    assert later["words"]
    six = {"lane": "a", "round": 3, "probes": [{"prompt": "p" * 200, "text": "t" * 900}] * 6}
    assert len(words(six)["probes"][0]) == SHORT
    assert len(json.dumps(words(six))) < 1000
    assert words({"lane": "a", "round": 0, "words": [], "probes": []}) is None


def test_saved_prompts_go_into_the_spec_and_back_into_the_form():
    form = {"lanes": [{"method": "memit"}], "probes": PROMPTS}
    spec = experiment.spec({"source": "pocket", "count": 1}, {"lanes": form, "round_size": 1, "tasks": True, "seed": 0})
    assert spec["measure"]["probes"] == PROMPTS
    assert "probes" not in experiment.spec({}, {"lanes": {"lanes": []}, "round_size": 1, "seed": 0})["measure"]
    assert experiment.form(spec | {"measure": spec["measure"]})["lanes"]["probes"] == PROMPTS


def filmed(lab: Lab, run: str, prompt: str) -> list[dict[str, Any]]:
    async def all_of_them() -> list[dict[str, Any]]:
        films = Films(SimpleNamespace(lab=lab, actions=Actions(lab)))
        return [value async for value in films.film(run, SimpleNamespace(_data={"prompt": prompt}))]

    return run_apart(all_of_them())


def test_a_prompt_is_asked_of_all_lanes_and_rounds(tmp_path, monkeypatch):
    lab = Lab(tmp_path, worker=False)
    with ScriptedWorker(lab.store, pace=0.01):
        run = record(lab.store, rounds=2)
        found = filmed(lab, run, "A river is")
    assert [len(value["lanes"]) for value in found] == [1, 2]
    assert [at["round"] for at in found[-1]["lanes"][0]["rounds"]] == [0, 1, 2]
    monkeypatch.setattr(film, "PATIENCE", 0.1)
    assert filmed(lab, run, "A river is")[-1]["message"] == film.LATER
    assert [command.kind for command in Store(tmp_path).waiting()] == ["film", "film"]
    lab.store.close()


def test_a_star_saves_a_prompt_and_a_strip_shows_it(visit: Any, served: Any) -> None:
    page = visit()
    page.fill("#lab-probe input[type=text]", "A river is")
    page.click("#lab-probe .star")
    assert page.get_attribute("#lab-probe .star", "aria-pressed") == "true"
    assert page.locator(f"{STRIP} .film").is_hidden()
    page.fill("#count input", "20")
    page.fill("#round-size input", "10")
    page.press("#round-size input", "Tab")
    page.click("#start")
    page.wait_for_selector("#lab-dock .dock[data-status=done]")
    run = served.store.runs()[0]
    assert served.store.get(run.id).spec["measure"]["probes"] == ["A river is"]
    page.wait_for_selector(f"{STRIP} .strip")
    head = page.locator(f"{STRIP} .strip >> nth=0 >> thead th")
    assert head.all_inner_texts() == ["prompt", "before", "round 1", "round 2", "round 3"]
    assert page.locator(f"{STRIP} .strip >> nth=0 >> tbody td mark").all_inner_texts() == [
        "<b>1</b>",
        "<b>2</b>",
        "<b>3</b>",
    ]
    head.nth(2).locator("button").click()
    page.wait_for_selector("#lab-dock .at >> text=Round 1 of 3")
    page.fill("#lab-probe input[type=text]", "Another river is")
    page.click("#lab-probe .star")
    page.click(f"{STRIP} .later button")
    page.wait_for_selector(f"{STRIP} tbody th >> text=Another river is")
    assert page.locator(f"{STRIP} .later").count() == 0
