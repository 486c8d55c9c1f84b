"""Look closer: studies on the page, without a browser and in one."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from core.runs.opened.catalogue import catalogue
from core.runs.progress.events import Progress
from core.runs.store import study_files
from core.runs.store.store import Store
from core.runs.store.study_queue import Asked
from lab_app.features import studies
from lab_app.features.studies import Desk, column_of, listed, packed, sentence, standing
from lab_app.lab import Lab
from tests.lab_app.apart import VISITOR, run_apart
from tests.lab_app.studied import MARKUP
from tests.lab_app.synthetic import LANES, record
from tests.lab_app.worker import ScriptedWorker

ASKED = Asked(name="keys", options={"energy": 0.8}, lanes=None, rounds="0,2")


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    yield store
    store.close()


@pytest.fixture
def lab(tmp_path):
    """A lab whose worker is scripted."""
    lab = Lab(tmp_path, worker=False)
    with ScriptedWorker(lab.store, pace=0.01):
        yield lab
    lab.close()
    lab.store.close()


def pressed(**data: Any) -> Any:
    return SimpleNamespace(_data=data)


def test_every_study_is_listed_once_by_its_group(monkeypatch):
    found = listed()
    assert sorted(study["name"] for study in found) == sorted(study["name"] for study in catalogue())
    alone = [study["name"] for study in found if study["group"] == "Without editing"]
    assert alone == ["card", "trace", "layers", "decomposition"]
    groups = [study["group"] for study in found]
    assert groups == sorted(groups, key=[*studies.GROUPS, studies.OTHERS].index)
    monkeypatch.setattr(studies, "GROUPS", {"Inside": ("angles",)})
    assert [study["name"] for study in listed()][0] == "angles"
    assert {study["group"] for study in listed()} == {"Inside", studies.OTHERS}  # a new file needs no place here


def test_the_catalogue_is_data_that_a_page_can_hold():
    text = json.dumps(listed(), allow_nan=False)
    assert len(text) < 30_000


def test_a_study_that_goes_on_says_how_far_it_is(store):
    run = record(store, rounds=2)
    first, second, third = (store.studies.add(run, "", ASKED) for _ in range(3))
    store.studies.claim(first)
    message = {"message": "Keys of MEMIT: 1 of 4", "eta_seconds": 95.0}
    store.studies.set_progress(first, Progress(phase="study", done=1, total=4, **message))
    said = {state.id: standing(state) for state in store.studies.of(run)}
    assert (said[first]["says"], said[first]["part"], said[first]["left"]) == ("Keys of MEMIT: 1 of 4", 0.25, "2 min")
    assert (said[second]["says"], said[third]["says"]) == ("waiting", "waiting, 1 ahead")
    store.studies.end(first, "failed", "there are too few rounds")
    assert standing(store.studies.get(first))["message"] == "There are too few rounds."


def test_what_was_found_is_packed_and_unpacked_to_the_same():
    rows = [{"lane": "a", "n": i, "v": None if i == 1 else i / 3} for i in range(6)]
    found = {"study": "keys", "tables": {"t": rows}, "charts": [], "notes": [], "protocol": "p"}
    table = packed(found)["tables"]["t"]
    assert table["values"][0] == {"words": ["a"], "at": [0] * 6}
    lists = [
        v if isinstance(v, list) else [None if at is None else v["words"][at] for at in v["at"]]
        for v in table["values"]
    ]
    assert [dict(zip(table["columns"], row, strict=True)) for row in zip(*lists, strict=True)] == rows
    assert column_of(["x", "y", "z"]) == ["x", "y", "z"]  # words would not be shorter
    assert column_of(["x", "x", None, "x"]) == {"words": ["x"], "at": [0, 0, None, 0]}
    assert column_of([]) == []


def test_long_tables_are_cut_and_say_how_long_they_were(monkeypatch):
    monkeypatch.setattr(studies, "MOST_ROWS", 3)
    table = packed({"tables": {"t": [{"n": i} for i in range(10)]}, "charts": []})["tables"]["t"]
    assert (table["rows"], table["values"]) == (10, [[0, 1, 2]])


@pytest.mark.parametrize("given, said", [("no such lane", "No such lane."), ("Stopped.", "Stopped."), ("", "")])
def test_messages_are_sentences(given, said):
    assert sentence(given) == said


def test_ask_follow_fetch_forget(lab):
    run = record(lab.store, rounds=2)
    desk = Desk(lab)

    async def scene() -> None:
        told = await desk.ask(run, pressed(name="keys", options={"keys": 9}, lanes=[LANES[0]], rounds="0, 2"), VISITOR)
        number = told["told"]["study"]
        while (value := desk.standing(run))["live"]:
            await asyncio.sleep(0.05)
        assert value["studies"][0]["status"] == "done"
        assert value["studies"][0]["rounds"] == "0,2"
        assert value["studies"][0]["options"] == {"keys": 9}
        found = (await desk.fetch(run, pressed(study=number)))["found"]
        assert found["id"] == number
        assert found["tables"]["curves"]["rows"] == 8
        other = record(lab.store, rounds=1)
        assert "tables" not in (await desk.fetch(other, pressed(study=number)))["found"]  # of its own run alone
        assert (await forget(desk, run, number))["told"] == {"message": ""}
        assert desk.standing(run)["studies"] == []
        assert "no longer exists" in (await desk.fetch(run, pressed(study=number)))["found"]["message"]

    run_apart(scene())


async def forget(desk: Desk, run: str, study: int | str, visitor: str = "", user: str | None = None) -> Any:
    return await desk.forget(run, visitor, pressed(study=study), SimpleNamespace(username=user))


def test_results_of_the_command_line_stand_beside_those_of_the_page(lab):
    run = record(lab.store, rounds=2)
    folder, desk = lab.store.get(run).folder, Desk(lab)
    found = {"study": "keys", "options": {"energy": 0.5}, "lanes": [LANES[0]], "rounds": {LANES[0]: [1, 2]}}
    found |= {"tables": {"s": [{"lane": LANES[0], "round": 1}]}, "charts": []}
    (folder / "study-keys.json").write_text(json.dumps(found))  # as older versions wrote it
    study_files.write(found | {"created": 1.0, "asked_rounds": "all", "empty": []}, folder, "keys-2")
    (folder / "study-broken.json").write_text("{")

    async def scene() -> None:
        listed = desk.standing(run)["studies"]
        assert [(one["id"], one["rounds"], one["by"]) for one in listed] == [
            ("keys", "1,2", "command line"),
            ("keys-2", "all", "command line"),
        ]
        shown = (await desk.fetch(run, pressed(study="keys-2")))["found"]
        assert (shown["id"], shown["tables"]["s"]["rows"]) == ("keys-2", 1)
        for key in ("keys-3", "../study-keys", "broken"):
            assert "no longer exists" in (await desk.fetch(run, pressed(study=key)))["found"]["message"]
        assert "no result" in (await forget(desk, run, "../spec"))["told"]["message"]
        gone = await forget(desk, run, "keys-2")
        assert [one["id"] for one in gone["value"]["studies"]] == ["keys"]
        assert not list(folder.glob("study-keys-2*"))

    run_apart(scene())


def test_only_whose_run_it_is_deletes_results(lab):
    spec = lab.store.get(record(lab.store, rounds=1)).spec
    run = lab.store.create_run(spec, owner="the owner’s browser", title="t")
    number = lab.store.studies.add(run, "", ASKED)
    lab.store.studies.finish(lab.store.get(run).folder, lab.store.studies.get(number), {"study": "keys", "tables": {}})

    async def scene() -> None:
        for visitor, user in (("", None), ("another", None), ("the owner’s browser", "somebody logged in")):
            told = (await forget(Desk(lab), run, number, visitor, user))["told"]
            assert told == {"message": "Only the owner of a run can delete its results.", "wrong": True}
        assert lab.store.studies.get(number) is not None
        assert (await forget(Desk(lab), run, number, "the owner’s browser"))["told"] == {"message": ""}
        assert lab.store.studies.get(number) is None

    run_apart(scene())


@pytest.mark.parametrize(
    "given, message",
    [
        ({"name": "kyes", "lanes": ["a"]}, "There is no study 'kyes'"),
        ({"name": "keys", "lanes": ["a"], "options": {"energy": 2}}, "energy should be ≤ 1"),
        ({"name": "keys", "lanes": ["a"], "options": {"keys": "many"}}, "should be of type int"),
        ({"name": "keys", "lanes": []}, "Choose at least one lane."),
    ],
)
def test_what_cannot_be_studied_is_told_at_once(store, tmp_path, given, message):
    run = record(store, rounds=1)
    lab = Lab(tmp_path, worker=False)
    told = run_apart(Desk(lab).ask(run, pressed(**given), VISITOR))["told"]
    assert message in told["message"]
    assert told["wrong"]
    assert "start a run first" in run_apart(Desk(lab).ask("", pressed(**given), VISITOR))["told"]["message"].lower()
    assert lab.store.studies.queue() == []
    lab.store.close()


def test_nobody_there_to_make_a_study(store, tmp_path, monkeypatch):
    monkeypatch.setattr(studies, "PATIENCE", 0.2)
    run, lab = record(store, rounds=1), Lab(tmp_path, worker=False)
    told = run_apart(Desk(lab).ask(run, pressed(name="keys", lanes=[LANES[0]]), VISITOR))["told"]
    assert told["message"] == studies.LATER
    lab.store.studies.add(run, "", ASKED)
    assert Desk(lab).standing(run)["notice"] == "The worker is starting."
    lab.store.close()


# -- in the browser

HERE = "#lab-studies"


def test_a_study_from_question_to_chart(visit: Any, served: Any) -> None:
    run = record(served.store, rounds=5)
    page = visit(f"?run={run}")
    page.wait_for_selector(f"{HERE} .ask-study:enabled")
    page.click(f"{HERE} .questions button[data-study=keys]")
    page.fill(f"{HERE} [data-option=energy]", "2")
    page.click(f"{HERE} .ask-study")
    page.wait_for_selector(f"{HERE} .note.error >> text=energy should be ≤ 1")
    page.fill(f"{HERE} [data-option=energy]", "0.5")
    page.uncheck(f"{HERE} .of-lanes input >> nth=1")
    page.click(f"{HERE} .rounds button[data-how=all]")
    page.click(f"{HERE} .ask-study")
    page.wait_for_selector(f"{HERE} .study[data-status=done] .charts .panel")
    (state,) = served.store.studies.of(run)
    assert (state.asked.options["energy"], state.asked.lanes, state.asked.rounds) == (0.5, [LANES[0]], "all")
    page.locator(f"{HERE} .charts .panel").last.scroll_into_view_if_needed()
    plots = f"[...document.querySelectorAll('{HERE} .charts .plot')]"
    page.wait_for_function(f"{plots}.every(plot => plot.data?.length)")
    kinds = page.evaluate(f"{plots}.map(plot => [plot.data.at(-1).type, Boolean(plot.layout.xaxis2)])")
    assert kinds == [["scatter", True], ["heatmap", False], ["bar", False], ["scatter", False], ["scatter", False]]
    assert page.evaluate(f"{plots}[4].layout.yaxis.type") == "log"
    assert "0.5 to" not in page.inner_text(f"{HERE} .study .wears")
    assert "energy 0.5" in page.inner_text(f"{HERE} .study .wears")
    assert MARKUP in page.inner_text(f"{HERE} .study")
    assert not page.evaluate("window.pwned")
    chart = page.locator(f"{HERE} .charts .panel").first
    chart.locator("[data-do=table]").click()
    assert chart.locator(".as-table tbody tr").count() == 12
    for what, begins in (("csv", "lane,round,kind,sense"), ("svg", "<svg")):
        page.locator(f"{HERE} .charts .panel >> nth={int(what == 'svg')} >> .save summary").click()
        with page.expect_download() as download:
            page.locator(f"{HERE} .charts .panel >> nth={int(what == 'svg')} >> [data-do={what}]").click()
        assert download.value.path().read_text().startswith(begins)
    context = page.context
    page.close()
    page = visit(f"?run={run}", context=context)  # what was found is there again
    page.click(f"{HERE} .study [data-do=open]")
    page.wait_for_selector(f"{HERE} .study .charts .panel")
    page.click(f"{HERE} .study [data-do=forget]")
    page.click(f"{HERE} .study [data-do=forget]")
    page.wait_for_selector(f"{HERE} .study", state="detached")
    assert served.store.studies.of(run) == []


def test_two_results_of_a_study_are_compared(visit: Any, served: Any) -> None:
    run = record(served.store, rounds=5)
    page = visit(f"?run={run}", (1280, 800), "dark")
    page.wait_for_selector(f"{HERE} .ask-study:enabled")
    page.click(f"{HERE} .questions button[data-study=keys]")
    for place, (energy, how) in enumerate((("0.5", "this"), ("0.7", "all"))):
        page.fill(f"{HERE} [data-option=energy]", energy)
        page.click(f"{HERE} .rounds button[data-how={how}]")
        page.click(f"{HERE} .ask-study")
        page.wait_for_function(
            f"document.querySelectorAll('{HERE} .study[data-status=done] .charts .panel').length === {5 * (place + 1)}"
        )
    assert f"empty of {LANES[0]}: no rows; {MARKUP} is not there." in page.inner_text(f"{HERE} .study >> nth=0")
    page.click(f"{HERE} .study >> nth=0 >> [data-do=beside]")
    page.wait_for_selector(f"{HERE} .pair .charts .panel")
    rows = page.locator(f"{HERE} .differences tbody tr")
    assert [row.split() for row in rows.all_inner_texts()][-1] == ["energy", "0.7", "0.5"]
    assert rows.first.inner_text().startswith("rounds")
    assert "the page receives no more" not in page.inner_text(f"{HERE} .pair")
    assert page.locator(f"{HERE} .pair > section").count() == 2
    page.locator(f"{HERE} .pair .charts .panel").first.scroll_into_view_if_needed()
    plots = f"[...document.querySelectorAll('{HERE} .pair > section')].map(side => side.querySelector('.charts .plot'))"
    page.wait_for_function(f"{plots}.every(plot => plot.data?.length)")
    left, right = page.evaluate(f"{plots}.map(plot => plot.layout.yaxis2.range)")
    assert left == right
    assert not page.evaluate("window.pwned")
    page.click(f"{HERE} .study >> nth=0 >> [data-do=alone]")
    page.wait_for_selector(f"{HERE} .pair", state="detached")
    page.wait_for_selector(f"{HERE} .study >> nth=0 >> .charts .panel")


def test_a_study_is_stopped(visit: Any, served: Any) -> None:
    run = record(served.store, rounds=3)
    page = visit(f"?run={run}", (390, 844))
    page.wait_for_selector(f"{HERE} .ask-study:enabled")
    page.evaluate("r = document.querySelector('#lab-dock input'); r.value = 2; r.dispatchEvent(new Event('input'))")
    page.click(f"{HERE} .questions button[data-study=cost]")
    page.wait_for_selector(f"{HERE} .rounds >> text=the selected one (2)")
    page.click(f"{HERE} .ask-study")
    page.wait_for_selector(f"{HERE} .study[data-status=running] .left >> text=left")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.click(f"{HERE} .study [data-do=stop]")
    page.wait_for_selector(f"{HERE} .study[data-status=stopped]")
    assert served.store.studies.of(run)[0].asked.rounds == "2"
    page.click(f"{HERE} .study [data-do=again]")
    assert page.input_value(f"{HERE} .rounds input") == "2"
