"""The guard sandbox on the page: handlers, and its dial in a browser."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from core.editing import guards
from core.errors import UserError
from core.runs.additions import extended
from core.runs.spec import RunSpec
from lab_app.features import sandbox
from lab_app.features.sandbox import Desk, lane, offered
from lab_app.lab import Lab
from tests.lab_app.synthetic import LANES, record, weighed
from tests.lab_app.test_page import DONE
from tests.lab_app.worker import ScriptedWorker

REVIVE = {"name": "revive", "tau": 0.3}
SPEC = {
    "facts": {"source": "pocket", "count": 6},
    "round_size": 2,
    "lanes": [
        {"method": "memit", "name": "plain", "lambda": 100},
        {"method": "memit", "name": "late", "from": {"lane": "plain", "round": 1}, "guards": [{"name": "rect"}]},
    ],
}


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

    def ask(run: str, handler: Any = desk.ask, **data: Any) -> Any:
        with ThreadPoolExecutor(1) as thread:  # the page tests' browser has a loop in this one
            return thread.submit(asyncio.run, handler(run, SimpleNamespace(_data=data))).result()

    run = record(lab.store, rounds=3)
    assert "No run is shown" in ask("", number=4)["value"]["message"]
    assert "not here any more" in ask("gone", desk.commit)["added"]["message"]
    assert "no such lane" in ask(run, desk.commit, lane="x")["added"]["message"]
    monkeypatch.setattr(sandbox, "PATIENCE", 0.1)
    assert ask(run, lane=LANES[0], round=1, guard=None)["value"]["message"] == sandbox.LATER
    assert "as soon as" in ask(run, desk.commit, lane="MEMIT", round=1, guard=REVIVE)["added"]["message"]
    monkeypatch.setattr(sandbox, "PATIENCE", 20.0)
    with ScriptedWorker(lab.store):
        found = ask(run, number=7, lane="MEMIT", round=2, guard=REVIVE)["value"]
        assert found == {"number": 7} | json.loads(json.dumps(weighed({"lane": "MEMIT", "round": 2, "guard": REVIVE})))
        added = ask(run, desk.commit, lane="MEMIT", round=2, guard=REVIVE)["added"]
        assert added["lanes"] == ["MEMIT + REVIVE τ=0.3 from round 1 of MEMIT"]
    lab.close()


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
