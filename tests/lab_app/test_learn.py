"""The Learn page: where a lesson's run stands, and the page in a browser."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from core.facts.readers.pocket import PocketWorld
from core.paths import ASSETS
from core.runs.progress.events import Finished, Progress
from core.runs.spec.run_spec import RunSpec
from core.runs.store.store import Store
from core.runs.store.study_queue import Asked
from lab_app.lessons import guard, lessons
from lab_app.lessons.standing import Standing
from tests.lab_app.synthetic import edited, measured, record, scripted, started

ONE_EDIT, COLLAPSE, SPECTRUM, GUARD = lessons()[:4]
SHOWN = "article.lesson:not([hidden])"


@pytest.fixture(scope="module")
def world():
    return PocketWorld.load(ASSETS / "pocket" / "world")


@pytest.fixture
def store(tmp_path):
    with_home = Store(tmp_path)
    yield with_home
    with_home.close()


def begun(store: Store, lesson: Any, world: PocketWorld, owner: str = "") -> str:
    return store.create_run(RunSpec.from_dict(lesson.spec(0, world)).as_dict(), owner=owner)


# -- where a run stands


def test_a_run_is_followed_to_its_end(store, world):
    run = begun(store, GUARD, world)
    reader = Standing(store, GUARD, run, lambda: "no worker can start")
    assert reader.look()["says"] == "no worker can start"
    store.beat(1, "running")
    assert reader.look()["says"] == "waiting for the worker"
    store.claim(run)
    store.append(run, [started(6, 600, guard.LANES), measured(guard.PLAIN, 0, 6, 100)])
    at = {"done": 3, "total": 25, "eta_seconds": 62.0, "run_done": 6, "run_total": 28}
    store.set_progress(run, Progress(phase="values", lane=guard.PLAIN, round=2, **at))
    state = reader.look()
    assert state["says"] == "MEMIT: optimising values, step 3 of 25, round 2 of 6"
    assert state["left"] == "62 s"
    assert state["part"] == pytest.approx(6 / 28, abs=1e-3)
    assert state["seen"]["sentences"] == []
    for lane in guard.LANES:
        store.append(run, [edited(lane, 3, 100), measured(lane, 3, 6, 100)])
    assert len(reader.look()["seen"]["rows"]) == 3 * len(guard.LANES)  # drawn while it goes on
    store.append(run, [Finished(status="done")], status="done")
    state = reader.look()
    assert state["status"] == "done"
    assert "After 300 edits" in state["seen"]["sentences"][0]
    assert len(json.dumps(state)) < 4000


def test_the_study_of_a_lesson_is_asked_for_once(store, world):
    run = begun(store, SPECTRUM, world, "me")
    for event in scripted(1, 5, ("MEMIT",)):
        store.append(run, [event], status="done" if event.kind == "finished" else None)
    store.studies.add(
        run, "me", Asked(name="decomposition", options={"points": 3}, lanes=None, rounds="last")
    )  # another
    first, second = Standing(store, SPECTRUM, run), Standing(store, SPECTRUM, run)
    store.beat(1, "waiting")
    for reader in (first, second, first, second):
        assert reader.look()["status"] == "running"
    asked = [command for command in store.waiting() if command.kind == "study"]
    assert len(asked) == 1
    payload = asked[0].payload
    assert payload["name"] == "decomposition"
    number = store.studies.add(run, "me", Asked(**payload))
    store.set_answer(asked[0].id, {"study": number})
    store.studies.claim(number)
    store.studies.set_progress(number, Progress(phase="study", done=4, total=31, eta_seconds=20.0))
    state = second.look()
    assert (state["stage"], state["says"]) == (2, "truncating and perturbing weights, 4 of 31")
    assert state["left"] == "20 s"
    kept = [
        {"lane": "MEMIT", "task": "true facts", "percent": 10.0, "directions": 0.05, "score": 0.6, "relative": 0.75}
    ]
    store.studies.finish(store.get(run).folder, store.studies.get(number), {"tables": {"reconstruction": kept}})
    for reader in (first, second, Standing(store, SPECTRUM, run)):  # the last: opened again by its address
        state = reader.look()
        assert state["status"] == "done"
        assert state["seen"]["outcome"] == {"value": pytest.approx(75), "says": "75 %"}
    assert not [command for command in store.waiting() if command.kind == "study"]


def test_a_study_that_cannot_be_is_told(store, world):
    run = begun(store, ONE_EDIT, world)
    store.set_status(run, "done")
    reader = Standing(store, ONE_EDIT, run)
    reader.look()
    store.set_answer(store.waiting()[0].id, {"message": "this run has not begun yet"}, failed=True)
    assert reader.look() == {"status": "failed", "says": "this run has not begun yet", "seen": reader.seen}


def test_stop_and_go_on(store, world):
    run = begun(store, ONE_EDIT, world)
    reader = Standing(store, ONE_EDIT, run)
    reader.stop()
    assert [command.kind for command in store.waiting()] == ["stop"]
    store.set_answer(store.waiting()[0].id)
    store.set_status(run, "stopped", "Stopped; it can be resumed.")
    assert reader.look()["status"] == "stopped"
    reader.resume()
    assert reader.look()["status"] == "queued"  # as soon as it was asked for
    store.set_answer(store.waiting()[0].id)
    store.set_status(run, "done")
    number = store.studies.add(run, "", Asked(name="ripple", options={}, lanes=None, rounds="last"))
    reader.stop()
    assert store.waiting()[0].payload == {"study": number}
    store.set_answer(store.waiting()[0].id)
    store.studies.end(number, "stopped", "Stopped.")
    assert reader.look()["says"] == "Stopped."
    reader.resume()
    assert reader.look()["status"] == "running"
    assert [command.kind for command in store.waiting()] == ["study"]


def test_a_run_of_something_else_is_left_alone(store, world):
    other = record(store, rounds=2)
    assert "another experiment" in Standing(store, SPECTRUM, other).look()["says"]
    assert not store.waiting()
    assert "does not exist" in Standing(store, SPECTRUM, "nothing").look()["says"]
    gone = begun(store, GUARD, world)
    reader = Standing(store, GUARD, gone)
    reader.look()
    store.delete(gone)
    assert reader.look()["status"] == "missing"


# -- the page


@pytest.fixture
def learn(visitors: Any, served: Any) -> Any:
    """Opens the Learn page; afterwards no page complained and no request left this computer."""
    complaints: list[str] = []

    def open_page(query: str = "", size: tuple[int, int] = (1280, 800), context: Any = None) -> Any:
        page = visitors.page(size, context=context)
        page.on("console", lambda told: complaints.append(told.text) if told.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda asked: (
                None if asked.url.startswith((served.address, "data:", "blob:")) else complaints.append(asked.url)
            ),
        )
        page.goto(f"{served.address}/learn{query}")
        page.wait_for_selector(SHOWN)
        return page

    yield open_page
    visitors.leave(served.address)
    assert not complaints


def test_a_lesson_from_its_question_to_its_answer(learn, served):
    page = learn("?lesson=4")
    button = page.locator(f"{SHOWN} [data-do=begin]")
    assert button.is_disabled()  # predict first
    page.locator(f"{SHOWN} .choice").first.click()
    button.click()
    page.wait_for_selector(f"{SHOWN} .sentences p")
    said = page.inner_text(f"{SHOWN} .sentences")
    assert "After 1,200 edits MEMIT still knows" in said
    mine = "The guard preserves more than smaller updates: direction matters"
    assert mine in page.inner_text(f"{SHOWN} .verdict .mine")
    page.wait_for_function(f"(document.querySelector('{SHOWN} .plot').data || []).length === 4")
    run = re.search(r"run=([\w-]+)", page.url)[1]
    found = served.store.get(run)
    assert found.title == "Lesson 4: The guard and τ"
    # Another lesson and back, and a reload: the same run with the same prediction.
    page.click(".learn nav a >> nth=1")
    page.wait_for_selector(f"{SHOWN}[data-lesson='2'] .empty")
    assert "run=" not in page.url
    page.go_back()
    page.wait_for_selector(f"{SHOWN}[data-lesson='4'] .sentences p")
    page.reload()
    page.wait_for_selector(f"{SHOWN} .sentences p")
    assert page.inner_text(f"{SHOWN} .sentences") == said
    assert page.is_checked(f"{SHOWN} .choice input >> nth=0")
    page.click(".learn nav a >> nth=2")
    again = learn("?lesson=4", context=page.context)  # without the run in the address: this browser remembers it
    again.wait_for_selector(f"{SHOWN} .sentences p")
    friend = learn(f"?lesson=4&run={run}", (390, 844))
    friend.wait_for_selector(f"{SHOWN} .sentences p")
    assert friend.inner_text(f"{SHOWN} .sentences") == said
    assert "nothing, in this browser" in friend.inner_text(f"{SHOWN} .verdict")
    assert friend.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.click(".learn .right a")
    page.wait_for_selector("#lab-header .learn-link")


def test_a_lesson_can_be_started_by_keys_and_stopped(learn, served, world):
    page = learn("?lesson=2")
    page.locator(f"{SHOWN} .slider input").focus()
    page.keyboard.press("ArrowRight")
    assert page.inner_text(f"{SHOWN} .slider output") == "55 %"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the button
    page.wait_for_function("new URL(location.href).searchParams.has('run')")
    other = begun(served.store, COLLAPSE, world)
    served.store.set_status(other, "paused")
    page = learn(f"?lesson=2&run={other}")
    page.wait_for_selector(f"{SHOWN} [data-do=resume]:visible")
    page.click(f"{SHOWN} [data-do=stop]")
    page.wait_for_selector(f"{SHOWN} [data-do=again]:visible")
    assert served.store.get(other).status == "stopped"
    page.click(f"{SHOWN} [data-do=again]")
    assert page.inner_text(f"{SHOWN} .slider output") == "?"
    assert page.is_disabled(f"{SHOWN} [data-do=begin]")


def test_a_wrong_address_says_so(learn):
    page = learn("?lesson=1&run=nothing")
    page.wait_for_selector(f"{SHOWN} .problem >> text=does not exist")
    assert page.is_visible(f"{SHOWN} [data-do=begin]")
