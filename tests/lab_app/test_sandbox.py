"""The guard sandbox on the page: handlers, and its dial in a browser."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from core.editing import guards
from core.errors import UserError
from core.runs.spec.run_spec import RunSpec
from core.runs.store.additions import extended
from lab_app.features import sandbox
from lab_app.features.sandbox import Desk, lane, offered
from lab_app.lab import Lab
from tests.lab_app.apart import VISITOR, run_apart
from tests.lab_app.looking import DONE
from tests.lab_app.synthetic import LANES, record, weighed
from tests.lab_app.worker import ScriptedWorker

REVIVE = {"name": "revive", "tau": 0.3}
PAGE = SimpleNamespace(session_hash="a page")
SPEC = {
    "facts": {"source": "pocket", "count": 6},
    "round_size": 2,
    "lanes": [
        {"method": "memit", "name": "plain", "lambda": 100},
        {"method": "memit", "name": "late", "from": {"lane": "plain", "round": 1}, "guards": [{"name": "rect"}]},
    ],
}

CURVE = """() => {
    const { x, y, customdata } = document.querySelector("#lab-sandbox .plot").data[0];
    return [[...x], [...(customdata || y)]];
}"""


def test_only_guards_of_one_update_are_offered():
    found = {guard["name"]: guard for guard in offered()}
    assert set(found) == set(guards.names()) - {"prune"}
    assert next(iter(found)) == "revive"
    for name, guard in found.items():
        assert guard["field"] == guards.dial(guards.get(name)).name
        assert guard["low"] <= guard["start"] <= guard["high"]


def test_a_guard_becomes_a_lane_that_the_run_takes():
    made = lane(SPEC, {"lane": "plain", "round": 3, "guard": REVIVE})
    assert made == {"method": "memit", "lambda": 100, "guards": [REVIVE], "from": {"lane": "plain", "round": 2}}
    assert "from" not in lane(SPEC, {"lane": "plain", "round": 1, "guard": REVIVE})  # begins as the lane did
    assert lane(SPEC, {"lane": "late", "round": 0, "guard": None}) == {
        "method": "memit",
        "from": {"lane": "plain", "round": 1},
    }
    spec = RunSpec.from_dict(SPEC).as_dict()
    for asked in ({"lane": "plain", "round": 3, "guard": REVIVE}, {"lane": "late", "round": 0, "guard": None}):
        assert len(extended(spec, [lane(spec, asked)]).lanes) == 3
    with pytest.raises(UserError, match="no such lane"):
        lane(SPEC, {"lane": "nobody"})


def test_questions_are_answered_or_told_why_not(tmp_path, monkeypatch):
    lab = Lab(tmp_path, worker=False)
    desk = Desk(lab)

    def commit(run: str, **data: Any) -> Any:
        return run_apart(desk.commit(run, SimpleNamespace(_data=data), VISITOR))

    def ask(run: str, **data: Any) -> Any:
        return run_apart(all_of(desk.ask(run, SimpleNamespace(_data=data), PAGE)))[-1]

    run = record(lab.store, rounds=3)
    assert "No run is open" in ask("", number=4)["value"]["message"]
    assert "no longer exists" in commit("gone")["added"]["message"]
    assert "no such lane" in commit(run, lane="x")["added"]["message"]
    monkeypatch.setattr(sandbox, "PATIENCE", 0.1)
    assert ask(run, lane=LANES[0], round=1, guard=None)["value"]["message"] == sandbox.LATER
    assert not lab.store.waiting()  # the page asks anew
    assert "queued" in commit(run, lane="MEMIT", round=1, guard=REVIVE)["added"]["message"]
    monkeypatch.setattr(sandbox, "PATIENCE", 20.0)
    with ScriptedWorker(lab.store):
        found = ask(run, number=7, lane="MEMIT", round=2, guard=REVIVE)["value"]
        assert found == {"number": 7} | json.loads(json.dumps(weighed({"lane": "MEMIT", "round": 2, "guard": REVIVE})))
        added = commit(run, lane="MEMIT", round=2, guard=REVIVE)["added"]
        assert added["lanes"] == ["MEMIT + REVIVE τ=0.3 from round 1 of MEMIT"]
    lab.close()


async def all_of(values: AsyncIterator[Any]) -> list[Any]:
    return [value async for value in values]


def test_the_next_round_is_computed_before_the_eyes(lab):
    run, desk = record(lab.store, rounds=4, until=2), Desk(lab)
    lab.store.set_status(run, "paused")
    asked = SimpleNamespace(_data={"number": 3, "lane": "MEMIT", "round": "next", "guard": REVIVE})
    with ScriptedWorker(lab.store):
        said = [value["value"] for value in run_apart(all_of(desk.ask(run, asked, PAGE)))]
    assert all(value["number"] == 3 for value in said)
    assert said[0]["doing"].endswith("of 5 for the values")
    assert said[0]["about"] == {"lane": "MEMIT", "round": "next"}
    parts = [value["part"] for value in said[:-1]]
    assert parts == sorted(parts)
    assert (said[-1]["round"], said[-1]["pending"]) == (3, True)
    assert desk.placed(run, {"lane": "MEMIT", "round": "next"})["round"] == 3
    assert desk.placed(run, {"lane": "MEMIT", "round": 2}) == {"lane": "MEMIT", "round": 2}


def test_a_question_takes_the_place_of_the_one_before(lab):
    """But the round that is computed for it goes on being computed when only the guard is another."""
    run_apart(replacing(lab, record(lab.store, rounds=4)))


async def replacing(lab: Lab, run: str) -> None:
    desk, open_questions = Desk(lab), []

    async def ask(**data: Any) -> int:
        asking = desk.ask(run, SimpleNamespace(_data=data), PAGE)
        open_questions.append((asking, asyncio.ensure_future(anext(asking))))
        before = {command.id for command in lab.store.commands.waiting()}
        while not (new := {command.id for command in lab.store.commands.waiting()} - before):
            await asyncio.sleep(0.01)
        return new.pop()

    looked = await ask(lane="MEMIT", round=2, guard=None)
    ahead = await ask(lane="MEMIT", round="next", guard=None)
    assert lab.store.answer(looked).answer["withdrawn"]
    turned = await ask(lane="MEMIT", round="next", guard=REVIVE)
    assert [lab.store.answer(command).state for command in (ahead, turned)] == ["waiting", "waiting"]
    other = await ask(lane=LANES[1], round="next", guard=REVIVE)
    assert all(lab.store.answer(command).answer["withdrawn"] for command in (ahead, turned))
    lab.store.set_answer(other, {"message": "done"})
    for asking, first in open_questions:
        await first
        await asking.aclose()
    assert not desk.open


def test_a_round_that_is_computed_is_given_up_by_its_own_run_alone(lab):
    mine, other = record(lab.store, rounds=1), record(lab.store, rounds=1)
    desk, command = Desk(lab), lab.store.command(mine, "sandbox", {"round": "next"})
    for run, number in ((other, command), (mine, "x"), (mine, command + 1)):
        run_apart(desk.stop(run, SimpleNamespace(_data={"command": number})))
        assert lab.store.answer(command).state == "waiting"
    run_apart(desk.stop(mine, SimpleNamespace(_data={"command": command})))
    assert lab.store.answer(command).answer["withdrawn"]


def test_the_dial_moves_the_shares_at_once_and_the_score_follows(visit, served):
    page = visit(f"?run={record(served.store, rounds=4)}")
    page.wait_for_selector(DONE)
    page.click("#lab-sandbox [data-do=open]")
    page.wait_for_selector("#lab-sandbox .predicted tbody tr.predicted")
    assert page.inner_text("#lab-sandbox .big b") == "10.0 %"
    assert page.inner_text("#lab-sandbox .at") == "Round 4 of 4"
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "queue/join" in request.url else None)
    at_once = """(value) => {
        const dial = document.querySelector('#lab-sandbox .dial input');
        dial.value = value;
        dial.dispatchEvent(new Event('input'));
        return document.querySelector('#lab-sandbox .big b').textContent;
    }"""
    assert [page.evaluate(at_once, tau) for tau in (0.2, 0.25, 0.4)] == ["20.0 %", "25.0 %", "40.0 %"]
    assert page.locator("#lab-sandbox .block.gone").count() == 2
    assert not asked  # nothing was asked of anybody for that
    page.wait_for_function("!document.querySelector('#lab-sandbox .sandbox').dataset.waiting")
    page.wait_for_selector("#lab-sandbox tr.predicted >> text=70.0 %")  # .95 − .4 · mean(1 … 4) / 4
    assert len(asked) == 1  # three moves, one question
    curve = weighed({"lane": LANES[0], "round": 4, "guard": REVIVE})["curve"]
    assert page.evaluate(CURVE) == [curve["x"], curve["removed"]]
    page.evaluate("r = document.querySelector('#lab-dock input'); r.value = 2; r.dispatchEvent(new Event('input'))")
    page.wait_for_selector("#lab-sandbox .at >> text=Round 2 of 4")
    page.click("#lab-sandbox .each summary")
    assert page.locator("#lab-sandbox .each tbody tr").count() == 4
    page.click("#lab-sandbox [data-do=commit]")
    page.wait_for_selector("#lab-sandbox .added >> text=MEMIT + REVIVE τ=0.4 from round 1 of MEMIT")
    page.select_option("#lab-sandbox select.guard", "")
    page.wait_for_selector("#lab-sandbox .big b >> text=0.0 %")
    assert page.locator("#lab-sandbox .dial").is_hidden()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_next_round_of_a_paused_run_is_looked_at_and_taken(visit, served):
    run = record(served.store, rounds=4, until=2)
    page = visit(f"?run={run}")
    page.wait_for_selector("#lab-dock .dock[data-status=running]")
    page.click("#lab-sandbox [data-do=open]")
    page.wait_for_selector("#lab-sandbox tr.predicted")
    assert page.locator("#lab-sandbox .next").is_disabled()  # the run goes on
    served.store.set_status(run, "paused")
    page.wait_for_selector("#lab-sandbox .next:enabled")
    page.click("#lab-sandbox .next")
    page.select_option("#lab-sandbox select.lane", LANES[1])  # while that is computed
    page.wait_for_selector("#lab-sandbox.slot-2, #lab-sandbox .slot-2")
    page.wait_for_selector("#lab-sandbox .ahead p >> text=Round 3 of 4 as the run will edit it")
    page.select_option("#lab-sandbox select.lane", LANES[0])
    page.wait_for_selector("#lab-sandbox .ahead p >> text=Round 3 of 4 as the run will edit it")
    page.wait_for_selector("#lab-sandbox tr.given >> text=as the run will edit it")
    page.evaluate(
        "d = document.querySelector('#lab-sandbox .dial input'); d.value = 0.3; d.dispatchEvent(new Event('input'))"
    )
    assert page.inner_text("#lab-sandbox .big b") == "30.0 %"
    page.click("#lab-sandbox [data-do=commit]")
    page.wait_for_selector("#lab-sandbox .added >> text=MEMIT + REVIVE τ=0.3 from round 2 of MEMIT")
    page.wait_for_selector("#lab-sandbox .which .at[aria-pressed=true]")  # the run goes on
    served.store.set_status(run, "stopped")
