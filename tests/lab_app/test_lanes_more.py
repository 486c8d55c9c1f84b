"""More lanes for a run that is there: handlers, and the page's form, dialog and colours in a browser."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from core.errors import UserError
from core.facts.source import FactsSpec, load_facts
from core.paths import ASSETS
from core.runs.progress.events import Finished
from core.runs.spec.problems import SpecError
from core.runs.spec.run_spec import RunSpec
from core.runs.store.additions import extended
from lab_app.features.lanes_more import Desk, branched, missing, undone
from lab_app.form import experiment
from lab_app.handlers import adding
from lab_app.lab import Lab
from tests.lab_app.apart import VISITOR, run_apart
from tests.lab_app.looking import DONE
from tests.lab_app.synthetic import record, started
from tests.lab_app.worker import ScriptedWorker

FACTS = [
    {"subject": subject, "prompt": "The capital of {} is", "target": "Lyon", "truth": "Paris"}
    for subject in ("France", "Italy", "Japan", "Peru", "Chad", "Oman")
]
SPEC = RunSpec.from_dict(
    {
        "facts": {"items": FACTS},
        "round_size": 2,
        "lanes": [
            {"method": "memit", "name": "plain", "lambda": 100.0},
            {"method": "memit", "name": "late", "from": {"lane": "plain", "round": 2}},
            {"method": "memit", "name": "fewer", "without": [1, 4]},
        ],
    }
).as_dict()
GUARDED = {"method": "memit", "guard": "revive", "tau": 0.2}


def test_where_a_lane_begins_survives_the_form():
    for lane in SPEC["lanes"]:
        assert experiment.lane(experiment.shown(lane)) == lane


def test_lanes_that_a_run_has_not():
    form = [experiment.shown(lane) | {"name": "renamed"} for lane in SPEC["lanes"]]
    assert missing(form, SPEC["lanes"]) == []
    assert missing([form[0], GUARDED, form[1] | {"from": {"lane": "plain", "round": 1}}, "?"], SPEC["lanes"]) == [1, 2]


def test_a_branch_is_a_lane_that_the_run_takes():
    made = branched(SPEC, "plain", 1, GUARDED | {"from": {"lane": "late", "round": 9}, "without": [3]})
    assert made == {
        "method": "memit",
        "guards": [{"name": "revive", "tau": 0.2}],
        "from": {"lane": "plain", "round": 1},
    }
    assert extended(SPEC, [made]).labels()[-1] == "MEMIT + REVIVE τ=0.2 from round 1 of plain"
    for given, message in ((("nobody", 1, GUARDED), "no such lane"), (("plain", None, GUARDED), "choose a round")):
        with pytest.raises(UserError, match=message):
            branched(SPEC, *given)


UNDONE = [
    (("plain", 2, [3]), {"name": "plain without “Peru”", "without": [3], "from": {"lane": "plain", "round": 1}}),
    (("plain", 1, [0]), {"name": "plain without “France”", "without": [0]}),  # from the unedited model
    (("plain", 3, [4, 5]), {"name": "plain without 2 facts of round 3", "without": [4, 5]}),
    (("fewer", 2, [2]), {"name": "fewer without “Japan”", "without": [2, 4], "from": {"lane": "fewer", "round": 1}}),
    (("fewer", 1, [0]), {"name": "fewer without “France”", "without": [0, 1, 4]}),
]


@pytest.mark.parametrize(("asked", "lane"), UNDONE)
def test_an_undone_fact_is_its_round_replayed_without_it(asked, lane):
    facts = load_facts(FactsSpec(**SPEC["facts"]), ASSETS).edit
    made = undone(SPEC, *asked, facts)
    for name, value in lane.items():
        assert made[name] == value
    assert ("from" in made) == (asked[1] > 1)
    assert made.get("lambda") == (100.0 if asked[0] == "plain" else None)
    assert len(extended(SPEC, [made]).lanes) == 4


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("plain", 1, [2]), "choose facts of round 1"),
        (("plain", 1, []), "choose facts of round 1"),
        (("plain", "1", [0]), "choose a round"),
        (("late", 2, [2]), 'round 2 was made by "plain", before late began'),
    ],
)
def test_what_cannot_be_undone(asked, message):
    with pytest.raises(UserError, match=message):
        undone(SPEC, *asked)


def test_a_taken_name_is_not_given_twice():
    named = {**SPEC, "lanes": [*SPEC["lanes"], {"method": "memit", "name": "plain without “Peru”", "without": [3]}]}
    facts = load_facts(FactsSpec(**SPEC["facts"]), ASSETS).edit
    assert "name" not in undone(named, "plain", 2, [3], facts)


def recorded(lab: Lab) -> str:
    """A finished run of `SPEC` without its later lanes."""
    run = lab.store.create_run({**SPEC, "lanes": SPEC["lanes"][:1]})
    lab.store.append(run, [started(3, 6, ("plain",)), Finished(status="done")], status="done")
    return run


def test_problems_stand_at_the_lanes_that_have_them(lab, monkeypatch):
    monkeypatch.setattr(adding, "PATIENCE", 0.2)
    desk, run = Desk(lab), recorded(lab)
    form = {"lanes": [experiment.shown(SPEC["lanes"][0]), GUARDED, GUARDED | {"options": {"steps": "many"}}]}
    told, message = run_apart(desk.add(run, form, VISITOR))
    assert [item["lane"] for item in told["problems"]["items"]] == [2]
    assert "steps" in told["problems"]["items"][0]["message"]
    assert message == ""
    assert run_apart(desk.add(run, {"lanes": form["lanes"][:1]}, VISITOR))[1].startswith(
        "This run already has all these"
    )
    assert run_apart(desk.add("", form, VISITOR))[1] == adding.NO_RUN
    assert run_apart(desk.add(run, {"lanes": form["lanes"][:2]}, VISITOR))[1] == adding.SOON  # nobody is at work
    late = GUARDED | {"from": {"lane": "plain", "round": 3}}
    assert "cannot branch from round 3" in run_apart(desk.add(run, {"lanes": [late]}, VISITOR))[1]
    with pytest.raises(SpecError) as caught:
        run_apart(adding.add(lab, lab.store.get(run), [{"method": "memit"}, {"method": "memt"}], lab.offered))
    assert [problem.where for problem in caught.value.problems] == ["lanes[1].method"]


def test_a_worker_adds_what_is_asked(lab):
    desk, run = Desk(lab), recorded(lab)
    with ScriptedWorker(lab.store, pace=0):
        told, message = run_apart(desk.add(run, {"lanes": [GUARDED]}, VISITOR))
        assert (told["problems"]["items"], message) == ([], "")
        assert [lane["guard"] for lane in told["has"]] == ["", "revive"]
        event = SimpleNamespace(_data={"parent": "plain", "round": 2, "without": [2]})
        added = run_apart(desk.branch(run, event, VISITOR))["told"]
        assert added == {"added": ["plain without “Japan”"], "message": ""}
        event = SimpleNamespace(_data={"parent": "plain", "round": 3, "lane": GUARDED})
        assert "cannot branch" in run_apart(desk.branch(run, event, VISITOR))["told"]["message"]
    assert lab.store.get(run).spec["lanes"][-1]["without"] == [2]


def test_the_facts_of_a_round_are_listed(lab):
    desk, run = Desk(lab), recorded(lab)
    found = run_apart(desk.facts(run, SimpleNamespace(_data={"round": 2})))["facts"]
    assert [(one["fact"], one["text"]) for one in found["facts"]] == [
        (2, "The capital of Japan is"),
        (3, "The capital of Peru is"),
    ]
    elsewhere = lab.store.create_run({**SPEC, "facts": {"source": "counterfact", "count": 5}})
    found = run_apart(desk.facts(elsewhere, SimpleNamespace(_data={"round": 3})))["facts"]
    assert found["facts"] == [{"fact": 4}]  # the page does not read datasets
    assert run_apart(desk.facts("gone", SimpleNamespace(_data={"round": 3})))["facts"]["message"] == adding.NO_RUN


# -- on the page

LEGEND = "#lab-header .legend .lane:not(.base)"


def colours(page: Any) -> list[str]:
    return page.evaluate(f"[...document.querySelectorAll({LEGEND!r})].map(b => b.className.match(/slot-\\d/)[0])")


def test_a_lane_is_added_to_a_finished_run(visit: Any, served: Any) -> None:
    run = record(served.store, rounds=3)
    page = visit(f"?run={run}")
    page.wait_for_selector(DONE)
    page.wait_for_selector("#lab-lanes .lane-card >> nth=1")
    assert page.locator("#add-lanes").is_hidden()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.click("#lab-lanes [data-do=add]")
    page.locator("#lab-lanes .lane-card >> nth=2").locator("[aria-label^=Guard]").select_option("shrink")
    page.fill("#lab-lanes .lane-card >> nth=2 >> [aria-label=factor]", "0.5")
    page.click("#lab-lanes .lane-card >> nth=2 >> .swatch")  # another colour than the one it would get
    page.wait_for_selector("#add-lanes:visible")
    page.click("#add-lanes")
    page.wait_for_selector(f"{LEGEND} >> nth=2")
    page.wait_for_selector(DONE)
    assert len(served.store.get(run).spec["lanes"]) == 3
    page.wait_for_function("!document.body.classList.contains('can-add')")
    page.wait_for_function(f"document.querySelectorAll({LEGEND!r})[2].classList.contains('slot-4')")
    assert colours(page) == ["slot-1", "slot-2", "slot-4"]  # those before are what they were
    page = visit(f"?run={run}", context=page.context)
    page.wait_for_selector(f"{LEGEND} >> nth=2")
    assert colours(page) == ["slot-1", "slot-2", "slot-4"]


def test_a_branch_and_an_undone_fact(visit: Any, served: Any) -> None:
    spec = {
        "model": "pocket",
        "facts": {"items": FACTS},
        "round_size": 2,
        "lanes": [{"method": "memit", "name": "plain"}],
    }
    run = served.store.create_run(RunSpec.from_dict(spec).as_dict())
    page = visit(f"?run={run}", (390, 844))
    page.wait_for_selector(DONE)
    page.click("#lab-dock .branch-off")
    dialog = page.locator("dialog.branch")
    dialog.locator("[data-mode=undo]").click()
    dialog.locator("select.round").select_option("2")
    dialog.locator("label:has-text('The capital of Peru')").click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    dialog.locator("[data-do=add]").click()
    page.wait_for_selector(f"{LEGEND} >> text=plain without “Peru”")
    dialog.wait_for(state="hidden")
    page.wait_for_selector(DONE)
    page.click("#lab-dock .branch-off")
    dialog.locator("[data-mode=recipe]").click()
    dialog.locator("select.round").select_option("1")
    dialog.locator("[data-do=add]").click()
    page.wait_for_selector(f"{LEGEND} >> text=from round 1 of plain")
    lanes = served.store.get(run).spec["lanes"]
    assert [lane.get("without") for lane in lanes] == [None, [3], None]
    assert [lane.get("from") for lane in lanes][1:] == [{"lane": "plain", "round": 1}] * 2
    page.click("#lab-dock .branch-off")
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
