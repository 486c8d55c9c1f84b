"""The list of runs, their comparison, and the page's address."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from core.errors import UserError
from core.runs.spec.run_spec import RunSpec
from core.runs.store.store import Store
from lab_app.features import history as module
from lab_app.features.history import History, run_of
from lab_app.handlers.actions import Actions
from lab_app.handlers.compare import OTHER_COUNT, OTHER_FACTS, compared, flat, thinned_evenly
from lab_app.lab import Lab
from tests.lab_app.apart import run_apart
from tests.lab_app.synthetic import LANES, record
from tests.lab_app.worker import ScriptedWorker

ANNA, BERT = "anna-remembers-this", "bert-remembers-that"
ASKED = SimpleNamespace(username=None)  # a request of somebody who did not log in


def event(**data: Any) -> Any:
    return SimpleNamespace(_data=data)


def owned(lab: Lab, owner: str, title: str = "", **changes: Any) -> str:
    spec = {"facts": {"source": "pocket", "count": 10}, "lanes": [{"method": "memit"}]} | changes
    return lab.store.create_run(RunSpec.from_dict(spec).as_dict(), owner=owner, title=title)


def test_everybody_sees_and_finds_their_own(lab):
    history = History(Actions(lab))
    owned(lab, BERT)
    first, second = owned(lab, ANNA, "Élan vital"), owned(lab, ANNA, "Straße")
    lab.store.note(first, "for the lecture")

    def found(search: str, visitor: str = ANNA) -> list[str]:
        return [run["id"] for run in history.look(visitor, event(search=search), ASKED)["runs"]]

    assert found("") == [second, first]
    assert found("élan LECTURE waiting") == [first]
    assert found("STRASSE") == [second]
    assert found("bert") == []
    assert found("", "") == []  # nobody's runs are not those of somebody without a name
    shown = history.look(BERT, event(search=""), ASKED)
    assert (shown["found"], shown["all"], shown["key"]) == (1, 1, BERT)
    assert history.look(ANNA, event(), SimpleNamespace(username="bert"))["key"] == ""  # who logs in needs no key
    assert shown["runs"][0]["says"] == "waiting"
    assert [run["says"] for run in history.look(ANNA, event(), ASKED)["runs"]] == ["waiting, 2 ahead"] + [
        "waiting, 1 ahead"
    ]


def test_only_their_own_are_changed(lab):
    history = History(Actions(lab))
    mine, theirs, nobodys = owned(lab, ANNA), owned(lab, BERT, "as it was"), owned(lab, "", "as it was")
    value, header = history.rename(ANNA, event(run=mine, title="  A  new \n name "), ASKED)
    assert value["runs"][0]["title"] == "A new name"
    assert header["runs"][0]["title"] == "A new name"
    value, _ = history.write(ANNA, event(run=mine, notes="<b>kept</b>"), ASKED)
    assert value["runs"][0]["notes"] == "<b>kept</b>"
    for run, visitor in ((theirs, ANNA), (nobodys, ANNA), (nobodys, "")):
        value, _ = history.rename(visitor, event(run=run, title="mine now"), ASKED)
        assert value["wrong"]
        assert "somebody else" in value["message"]
        assert lab.store.get(run).title == "as it was"
    value, _ = history.rename(ANNA, event(run=mine, title=" "), ASKED)
    assert value["message"].startswith("A title has 1 to")
    value, _ = history.write(ANNA, event(run="../..", notes="x"), ASKED)
    assert "no longer exists" in value["message"]


def test_deleting_and_resuming_are_the_workers(lab, monkeypatch):
    run_apart(deleting_and_resuming(lab, monkeypatch))


async def deleting_and_resuming(lab, monkeypatch):
    history = History(Actions(lab))
    mine, theirs = owned(lab, ANNA), owned(lab, BERT)
    for run in (mine, theirs):
        lab.store.set_status(run, "stopped")
    with monkeypatch.context() as patch:
        patch.setattr(module, "PATIENCE", 0.05)
        value, _ = await history.forget(ANNA, event(run=theirs), ASKED)
        assert lab.store.waiting() == []
        value, _ = await history.resume(ANNA, event(run=mine), ASKED)
        assert "The request is queued" in value["message"]
        assert [(command.run, command.kind) for command in lab.store.waiting()] == [(mine, "resume")]
    with ScriptedWorker(lab.store):
        value, header = await history.forget(ANNA, event(run=mine, search="x"), ASKED)
    assert (value["message"], value["all"], header["runs"]) == ("", 0, [])
    assert lab.store.get(mine) is None
    assert not (lab.store.home / "runs" / mine).exists()


def test_lanes_of_several_runs_side_by_side(tmp_path):
    store = Store(tmp_path)
    long, short = record(store, rounds=5), record(store, rounds=3)
    found = compared(store, [long, short, long])
    assert [lane["label"] for lane in found["lanes"]] == [*LANES, *LANES]
    assert [lane["run"] for lane in found["lanes"]] == [0, 0, 1, 1]
    first, guarded = found["lanes"][:2]
    assert first["curve"]["edits"] == [0, 50, 100, 150, 200, 250]
    assert first["scores"]["efficacy"] == first["curve"]["efficacy"][-1]
    assert (first["scores"]["round"], first["scores"]["edits"]) == (5, 250)
    assert first["settings"]["method"] == guarded["settings"]["method"] == "memit"
    assert first["settings"]["facts"] == "250 facts of pocket, seed 0"
    assert found["notes"] == [OTHER_FACTS, OTHER_COUNT]
    assert compared(store, [long])["notes"] == []
    same = store.create_run(store.get(long).spec)
    assert compared(store, [long, same])["notes"] == []
    asked = compared(store, [same])["lanes"]  # before it began
    assert [lane["settings"].get("guards") for lane in asked] == [None, "revive"]
    assert asked[0]["scores"] == {}
    for runs, message in (([], "1 to 6"), ([long, "nothing"], "no run nothing"), (list("abcdefg"), "not 7")):
        with pytest.raises(UserError, match=message):
            compared(store, runs)
    store.close()


def test_settings_are_those_that_hold_and_a_confounded_comparison_is_told(tmp_path):
    """Of a run that has not begun too: the prior brings its own, and switches others."""
    store = Store(tmp_path)
    lanes = [{"method": "memit"}, {"method": "memit", "prior": "lowrank"}, {"method": "alphaedit", "prior": "lowrank"}]
    spec = RunSpec.from_dict({"facts": {"source": "pocket", "count": 5}, "lanes": lanes}).as_dict()
    found = compared(store, [store.create_run(spec)])
    plain, low, alpha = (lane["settings"] for lane in found["lanes"])
    assert (plain["history"], low["history"]) == ("false", "true")
    assert plain["ridge"] == low["ridge"] == "10.0"
    assert (low["prior"], low["lowrank energy"], plain.get("lowrank energy")) == ("lowrank", "0.8", None)
    assert "no effect: U's directions" in alpha["threshold"]
    assert any("MEMIT-F: Differs from MEMIT in more than its prior: history" in note for note in found["notes"])
    elsewhere = RunSpec.from_dict({**spec, "model": "no/such-model", "lanes": lanes[:1]}).as_dict()
    waits = compared(store, [store.create_run(elsewhere)])["lanes"][0]["settings"]
    assert waits["layers"] == waits["lr"] == "chosen when the run begins"
    store.close()


def test_settings_become_text():
    lane = {
        "method": "memit",
        "layers": [4, 5],
        "history": True,
        "name": None,
        "guards": [],
        "prior": {"name": "lowrank"},
    }
    assert flat(lane) == {"method": "memit", "layers": "4, 5", "history": "true", "prior": "lowrank"}
    guards = [{"name": "revive", "tau": 0.1}, {"name": "prune"}]
    assert flat({"guards": guards}) == {"guards": "revive + prune", "revive tau": "0.1"}
    assert flat({"statistics": {"tokens": None, "skip_bos": False}}) == {"statistics skip_bos": "false"}
    assert thinned_evenly(3) == [0, 1, 2]
    places = thinned_evenly(1000)
    assert (len(places), places[0], places[-1]) == (120, 0, 999)


def test_an_address_names_a_run():
    assert run_of("https://lab.example/?view=x&run=3f2a&round=2") == run_of(" 3f2a ") == "3f2a"


# -- in a browser


def mine(visit: Any, served: Any, *titles: str) -> tuple[Any, list[str]]:
    """A page whose visitor has recorded runs of these titles, the last one newest."""
    page = visit("?view=runs")
    page.wait_for_selector(".programs:not([hidden])", state="attached")
    owner = page.text_content(".programs .key")
    runs = []
    for title in titles:
        copied = served.store.get(record(served.store, rounds=3))
        run = served.store.create_run(copied.spec, owner=owner, title=title)
        served.store.append(run, [], status="done")
        runs.append(run)
    page.fill(".find input", "")
    page.keyboard.press("Escape")
    page.wait_for_function("!location.href.includes('view=')")  # or a reload that comes sooner opens the list again
    return page, runs


def test_a_run_is_found_noted_on_renamed_and_deleted(visit: Any, served: Any) -> None:
    page, (first, second) = mine(visit, served, "first of all", "another one")
    page = visit(context=page.context)
    page.click("#lab-header .menu summary")
    page.click("#lab-header .menu .all")
    rows = page.locator(".runs-list li:has(.title)")
    page.wait_for_selector(".runs-list >> text=first of all")
    assert rows.count() == 2
    page.fill(".find input", "FIRST")
    page.wait_for_selector(".find .count >> text=1 of 2 runs")
    page.get_by_role("button", name="Add notes").click()
    page.fill(".runs-list textarea", "<img src=x onerror=window.pwned=1>")
    page.press(".runs-list textarea", "Control+Enter")
    page.wait_for_selector(".runs-list .notes >> text=<img")
    page.get_by_role("button", name="Rename").click()
    page.fill(".runs-list .field input", "not this")
    page.press(".runs-list .field input", "Escape")
    assert page.locator("dialog.history[open]").count() == 1  # the field was left, not the list
    page.get_by_role("button", name="Rename").click()
    page.fill(".runs-list .field input", "the first one")
    page.press(".runs-list .field input", "Enter")
    page.wait_for_selector(".runs-list .title >> text=the first one")
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("button", name="Keep it").click()
    assert served.store.get(first).notes.startswith("<img")
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.wait_for_selector(".find .count >> text=0 of 1 runs")
    assert served.store.get(first) is None
    assert served.store.get(second) is not None
    assert not page.evaluate("window.pwned")


def test_the_address_keeps_run_round_and_view(visit: Any, served: Any) -> None:
    long, short = record(served.store, rounds=5), record(served.store, rounds=3)
    page = visit(f"?run={long}&round=3&view=energy")
    page.wait_for_selector("#lab-dock .at >> text=Round 3 of 5")
    page.wait_for_selector("#lab-panel-energy .panel.is-wide")
    page.evaluate("r = document.querySelector('#lab-dock input'); r.value = 2; r.dispatchEvent(new Event('input'))")
    page.wait_for_function("new URL(location.href).searchParams.get('round') === '2'")
    page.click("#lab-panel-energy [data-do=wide]")
    page.wait_for_function("!location.href.includes('view=')")
    page.click("#lab-dock .live")
    page.wait_for_function("!location.href.includes('round=')")
    page = visit(f"?run={long}&view=compare&with={long},{short}")
    page.wait_for_selector(".comparing .scores table")
    assert page.locator(".comparing .scores thead th").count() == 4
    page.wait_for_function("document.querySelector('.comparing .plot').data?.length === 4")
    differing = page.locator(".comparing .settings tbody tr").count()
    page.uncheck(".comparing .only input")
    assert page.locator(".comparing .settings tbody tr").count() > differing > 0
    page.click(".comparing .back")
    page.wait_for_selector(".listing:not([hidden])")
    page.go_back()
    page.wait_for_selector(".comparing:not([hidden])")
    page.keyboard.press("Escape")
    page.wait_for_function("!location.href.includes('view=') && !location.href.includes('with=')")
    assert f"run={long}" in page.url
