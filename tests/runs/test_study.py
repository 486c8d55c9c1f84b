"""Studies of a run on request: what they are given, the files of the command line, and the worker's queue of them."""

from __future__ import annotations  # options are told apart by the words of their types

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from core.__main__ import main
from core.editing.parameters import param
from core.errors import UserError
from core.measures import studies
from core.measures.found import Chart, Found
from core.runs import worker as worker_module
from core.runs.catalogue import catalogue
from core.runs.control import Control
from core.runs.laboratory import Laboratory
from core.runs.opened import opened
from core.runs.record import Record
from core.runs.store import Store
from core.runs.study import case_of, study
from core.runs.study_queue import Asked
from tests.runs.at_work import LITTLE, answered, kinds, long, queued, status, until, warnings
from tests.runs.conftest import LANE
from tests.runs.tables import TABLES, table


@dataclass(frozen=True, kw_only=True)
class Norms:
    """How far a layer has moved; waits at each step until `gate` is open, wearing the lane's last state."""

    title: ClassVar[str] = "Norms"
    question: ClassVar[str] = "How far did the weights move?"
    source: ClassVar[str] = "The definition of a norm"
    gate: ClassVar[threading.Event] = threading.Event()

    layer: int = param(1, ge=0, help="Which layer.")
    steps: int = param(3, ge=1, help="Reports before the work.")
    slow: bool = param(False, help="Wait for the gate.")

    def run(self, case, rounds):
        with torch.inference_mode(), case.lm.worn(case.weights(case.last)):
            for step in range(self.steps):
                case.report(step, self.steps)
                while self.slow and not self.gate.is_set():
                    time.sleep(0.01)
                    case.report(step, self.steps)
            worn = case.lm.original(self.layer) if not case.last else case.matrix(case.last, self.layer)
        rows = [
            {"round": n, "norm": float((case.matrix(n, self.layer) - case.lm.original(self.layer)).norm())}
            for n in rounds
        ]
        chart = Chart(table="norms", kind="line", x="round", y="norm", title="Norms", x_title="round", y_title="norm")
        return Found(
            tables={"norms": rows, "none": []}, charts=[chart], protocol="Frobenius.", notes=[f"{worn.shape[0]} rows"]
        )


@pytest.fixture
def norms(monkeypatch):
    """The study "norms" is the only one; its gate is shut."""
    monkeypatch.setattr(studies, "names", lambda: ["norms"])
    true = studies.get
    monkeypatch.setattr(studies, "get", lambda name: Norms if name == "norms" else true(name))
    Norms.gate.clear()
    yield Norms
    Norms.gate.set()


def test_a_case_is_the_lane(done, tmp_path):
    record = Record.read(done)
    run = opened(record, Laboratory(tmp_path), Control())
    case = case_of(run, "guarded", Control(), lambda done, total: None)
    assert (case.layers, case.last, case.cohorts) == ((1, 2), 3, [[0, 1], [2, 3], [4, 5]])
    assert case.recipe.guard_names == ("revive",)
    assert [fact.subject for fact in case.facts][:2] == ["France", "Italy"]
    rows = {int(row["round"]): row for row in table(done / "rounds.csv") if row["lane"] == "guarded"}
    assert {n: f"{scores['neighborhood']}" for n, scores in case.scores.items()} == {
        n: row["neighborhood"] for n, row in rows.items()
    }
    assert case.texts.prose_name.startswith("the text file texts.txt (")
    assert "Number 0 of France" in case.texts.drift[0]
    assert not (tmp_path / "statistics").exists()
    assert 3 in case.session.moments
    assert 9 not in case.session.moments
    moment = case.session.moment(2)  # gathered now
    assert moment.shape == (80, 80)
    assert (tmp_path / "statistics").exists()
    assert case.session.memo is run.laboratory.session(record.spec, ()).memo


def test_what_is_found_in_lanes_is_put_together(done, norms):
    reports, random = [], torch.get_rng_state()
    found = study(done, "norms", {"layer": 2}, rounds="0,3", control=Control(report=reports.append))
    rows = found["tables"]["norms"]
    assert [(list(row), row["lane"], row["round"]) for row in rows] == [
        (["lane", "round", "norm"], lane, n) for lane in ("plain", "guarded") for n in (0, 3)
    ]
    assert rows[0]["norm"] == 0 < rows[3]["norm"] < rows[1]["norm"]  # the guard takes a part
    assert len(found["charts"]) == 1
    assert (found["protocol"], found["notes"]) == ("Frobenius.", ["plain: 32 rows", "guarded: 32 rows"])
    assert found["options"] == {"layer": 2, "steps": 3, "slow": False}
    assert found["rounds"] == {"plain": [0, 3], "guarded": [0, 3]}
    assert torch.equal(torch.get_rng_state(), random)
    told = [report for report in reports if report.phase == "study"]
    assert told[0].message == "Norms of plain: 0 of 3"
    assert told[-1].lane == "guarded"


def test_a_long_study_says_so_before_it_begins(done, norms, monkeypatch):
    monkeypatch.setattr(Norms, "seconds", lambda self, case, rounds: 60.0 * len(rounds), raising=False)
    reports = []
    study(done, "norms", {}, rounds="0,3", control=Control(report=reports.append))
    first = next(report for report in reports if report.phase == "study")
    assert (first.message, first.eta_seconds) == ("Norms: Expected to take about 4 minutes on this machine.", 240.0)


def test_studies_from_the_command_line(done, norms, capsys):
    assert main(["measure", "--studies"]) == 0
    listed = capsys.readouterr().out
    assert "norms: How far did the weights move? (The definition of a norm)" in listed
    assert "    layer=1   Which layer." in listed
    assert main(["measure", str(done), "--study", "norms", "--set", "layer=2", "--lanes", "plain"]) == 0
    assert capsys.readouterr().out.splitlines()[-3:] == [
        str(done / name) for name in ("study-norms.json", "study-norms-norms.csv", "study-norms-none.csv")
    ]
    with (done / "study-norms-norms.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["lane"], row["round"]) for row in rows] == [("plain", "3")]
    saved = json.loads((done / "study-norms.json").read_text())
    assert {name: str(value) for name, value in saved["tables"]["norms"][0].items()} == rows[0]
    assert saved["options"]["layer"] == 2
    assert "torch" in saved["versions"]
    for path in done.glob("study-*"):
        path.unlink()


def test_results_are_kept_side_by_side_listed_and_deleted(done, norms, capsys):
    command = ["measure", str(done), "--study", "norms", "--lanes", "plain"]
    assert main(command) == main([*command, "--set", "layer=2"]) == 0
    assert main([*command, "--name", "wide", "--set", "steps=1"]) == 0
    out = capsys.readouterr().out
    assert str(done / "study-norms-2-norms.csv") in out
    assert "empty: none of plain: nothing of it could be measured; the notes say what was left out" in out
    assert [json.loads((done / f"study-{key}.json").read_text())["options"] for key in ("norms", "norms-2")] == [
        {"layer": 1, "steps": 3, "slow": False},
        {"layer": 2, "steps": 3, "slow": False},
    ]
    with (done / "study-norms-none.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [
            {"lane": "plain", "why_empty": "nothing of it could be measured; the notes say what was left out"}
        ]
    assert main([*command, "--name", "wide"]) == 2
    assert 'there is a result "norms-wide" already' in capsys.readouterr().err
    (done / "study-nothing.json").write_text("[]")  # no result: passed over
    old = json.loads((done / "study-norms-2.json").read_text())
    for later in ("asked_rounds", "created", "empty"):  # as they were written before there were such fields
        del old[later]
    (done / "study-norms-2.json").write_text(json.dumps(old))
    assert main(["measure", str(done), "--results"]) == 0
    listed = capsys.readouterr().out
    assert "norms: plain; rounds last; " in listed
    assert "norms-2: plain; rounds 3; " in listed
    assert "    layer=2\n" in listed
    assert "    usual options\n    tables: norms (1), none (0)\n    empty: none of plain: nothing" in listed
    assert main(["measure", str(done), "--delete", "norms-3"]) == 2
    assert 'there is no result "norms-3"' in capsys.readouterr().err
    assert main(["measure", str(done), "--delete", "norms", "--delete", "norms-wide"]) == 0
    assert sorted(path.name for path in done.glob("study-*")) == [
        "study-norms-2-none.csv",
        "study-norms-2-norms.csv",
        "study-norms-2.json",
        "study-nothing.json",
    ]
    for path in done.glob("study-*"):
        path.unlink()
    assert main(["measure", str(done), "--results"]) == 0
    assert "no study was kept" in capsys.readouterr().out


def test_lanes_that_are_compared_are_studied_together(done, norms, monkeypatch):
    def compared(self, cases, rounds):
        assert list(cases) == ["plain", "guarded"]
        return {lane: self.run(case, rounds[lane]) for lane, case in cases.items()}

    monkeypatch.setattr(norms, "compared", compared, raising=False)
    found = study(done, "norms", {})
    assert [row["lane"] for row in found["tables"]["norms"]] == ["plain", "guarded"]
    assert found["empty"][0] == {
        "table": "none",
        "lane": "plain",
        "why": "nothing of it could be measured; the notes say what was left out",
    }


def test_values_are_read_where_each_lane_s_rounds_aimed(make_spec, tmp_path):
    shared = {name: value for name, value in LANE.items() if name not in ("method", "layers", "lambda")}
    lanes = [
        {**shared, "name": "mose", "method": "mose", "layers": [0, 1, 2, 3], "select": "fixed", "fixed_layer": 1},
        {**LANE, "name": "memit"},
    ]
    spec, out = tmp_path / "spec.json", tmp_path / "out"
    spec.write_text(json.dumps(make_spec(lanes=lanes, measure=LITTLE)))
    assert main(["run", str(spec), "--out", str(out)]) == 0
    found = study(out, "values", {}, rounds="all")
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    edited = {(event["lane"], event["round"]): event["layers"][-1] for event in events if event["kind"] == "edited"}
    assert {row["layer"] for (lane, _), row in edited.items() if lane == "mose"} == {1}  # 2 and 3 were candidates only
    fresh = {(row["lane"], row["round"]): row for row in found["tables"]["reached"] if row["round"] == row["cohort"]}
    assert set(fresh) == set(edited)
    for place, row in fresh.items():
        assert row["layer"] == edited[place]["layer"]
        assert row["missing"] == pytest.approx(edited[place]["residual_after"], rel=1e-4)
    assert {row["lane"]: "measures no tasks" in row["why"] for row in found["empty"]} == {"mose": True, "memit": True}


BAD = [
    (["--study", "nroms"], "There is no study 'nroms'"),
    (["--study", "norms", "--set", "layr=2"], 'did you mean "layer"'),
    (["--study", "norms", "--set", "layer=two"], "should be of type int"),
    (["--study", "norms", "--set", "layer"], "should be OPTION=VALUE"),
    (["--set", "layer=2"], "name the study"),
    (["--study", "norms", "--name", "../away"], "should be letters, digits"),
    (["--study", "norms", "--results"], "leave out --study"),
    (["--study", "norms", "--rounds", "9"], "has rounds 0 to 3, not 9"),
    (["--study", "norms", "--lanes", "plane"], 'did you mean "plain"'),
]


@pytest.mark.parametrize("arguments, message", BAD)
def test_studies_that_cannot_be(done, norms, capsys, arguments, message):
    assert main(["measure", str(done), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_which_run_is_to_be_studied(norms, capsys):
    assert main(["measure", "--study", "norms"]) == 2
    assert "which run?" in capsys.readouterr().err


def test_a_study_can_be_interrupted(done, norms, monkeypatch, capsys):
    true = norms.run

    def interrupted(self, case, rounds):
        os.kill(os.getpid(), signal.SIGINT)
        return true(self, case, rounds)

    monkeypatch.setattr(norms, "run", interrupted)
    assert main(["measure", str(done), "--study", "norms"]) == 3
    assert "Stopped; nothing was written." in capsys.readouterr().err
    assert not list(done.glob("study-*"))


def test_all_studies_tell_what_they_are_without_torch():
    code = "import sys; from core.runs.catalogue import catalogue; catalogue(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    for about in catalogue():
        assert about["title"]
        assert about["question"].endswith("?")
        assert about["source"]
        assert all(option["help"] for option in about["options"])


# -- the queue


ASKED = Asked(name="norms", options={}, lanes=None, rounds="last")


def test_owners_take_turns_with_studies_too(tmp_path):
    store = Store(tmp_path)
    runs = {owner: store.create_run({"facts": {}, "lanes": []}, owner=owner, title="t") for owner in "ab"}
    first, second = (store.studies.add(runs["a"], "a", ASKED) for _ in range(2))
    other = store.studies.add(runs["b"], "b", ASKED)
    assert store.studies.queue() == [first, other, second]
    assert [state.position for state in store.studies.of(runs["a"])] == [3, 1]
    store.studies.claim(first)
    assert store.studies.next().id == other
    assert [state.id for state in store.studies.left_running()] == [first]
    store.studies.put_back(first, died=True)
    assert (store.studies.get(first).attempts, store.studies.get(first).status) == (1, "queued")
    store.delete(runs["b"])
    assert store.studies.get(other) is None
    store.close()


def test_what_was_found_outlives_the_database(tmp_path):
    store = Store(tmp_path)
    run = store.create_run({"facts": {}, "lanes": []}, owner="a", title="t")
    folder = store.get(run).folder
    number = store.studies.add(run, "a", ASKED)
    store.studies.finish(folder, store.studies.get(number), {"study": "norms", "tables": {}})
    store.note(run, "look at round 3")
    store.close()
    (tmp_path / "lab.sqlite").write_bytes(b"no database" * 100)
    store = Store(tmp_path)
    (saved,) = store.studies.of(run)
    assert (saved.status, saved.asked, saved.owner) == ("done", ASKED, "a")
    assert store.studies.found(folder, saved)["study"] == "norms"
    assert store.get(run).notes == "look at round 3"
    store.studies.delete(folder, saved)
    assert store.studies.of(run) == []
    assert not list(folder.glob("studies/*"))
    store.close()


# -- the worker


def study_of(store, run, **payload):
    """The number of a study that the worker has taken on."""
    found = answered(store, store.command(run, "study", {"name": "norms", **payload}))
    assert found.state == "done", found.answer
    return found.answer["study"]


def ended(store, number):
    return until(lambda: (state := store.studies.get(number)).status not in ("queued", "running") and state, "its end")


def short(make_spec):
    return make_spec(round_size=3, measure=LITTLE)


def test_the_worker_makes_studies_and_keeps_what_they_find(store, make_spec, norms):
    run = queued(store, short(make_spec))
    status(store, run, "done")
    number = study_of(store, run, options={"layer": 2}, lanes=["guarded"], rounds="all")
    state = ended(store, number)
    assert (state.status, state.position, state.asked.options["layer"]) == ("done", 0, 2)
    found = store.studies.found(store.get(run).folder, state)
    assert [row["round"] for row in found["tables"]["norms"]] == [0, 1, 2]
    assert [state.id for state in store.studies.of(run)] == [number]
    assert found["tables"] == study(store.get(run).folder, "norms", {"layer": 2}, ["guarded"], "all")["tables"]
    for payload, message in (
        ({"name": "nroms"}, "There is no study 'nroms'"),
        ({"options": {"layer": -1}}, "should be ≥ 0"),
        ({"lanes": ["plane"]}, 'did you mean "plain"'),
        ({"rounds": "7"}, "not 7"),
        ({"lanes": "plain"}, "lanes should be a list"),
    ):
        refused = answered(store, store.command(run, "study", {"name": "norms", **payload}))
        assert refused.state == "failed"
        assert message in refused.answer["message"]
    answered(store, store.command(run, "delete_study", {"study": number}))
    assert store.studies.of(run) == []


def test_probes_are_answered_and_a_study_is_stopped_while_it_goes_on(store, make_spec, norms):
    run = queued(store, short(make_spec))
    status(store, run, "done")
    asked = {"prompt": "France was born in", "lane": "plain", "new_tokens": 3}
    before = answered(store, store.command(run, "probe", asked)).answer["after"]
    number, waiting = study_of(store, run, options={"slow": True}), study_of(store, run)
    until(lambda: (store.studies.get(number).progress or {}).get("phase") == "study", "progress")
    began = time.monotonic()
    assert answered(store, store.command(run, "probe", asked)).answer["after"] == before
    assert time.monotonic() - began < 5  # of a busy computer; the worker looks every 50 ms
    undo = store.command(run, "undo")  # the study still reads what it would take away
    assert answered(store, store.command(run, "stop_study", {"study": waiting})).state == "done"
    assert store.studies.get(waiting).status == "stopped"
    assert store.answer(undo).state == "waiting"
    refused = answered(store, store.command(run, "delete_study", {"study": number}))
    assert "stop it first" in refused.answer["message"]
    answered(store, store.command(run, "stop_study", {"study": number}))
    assert (ended(store, number).status, store.studies.get(number).file) == ("stopped", "")
    assert answered(store, undo).answer["to"] == 1


def test_a_run_has_its_turn_while_a_study_stands_aside(store, make_spec, norms, monkeypatch):
    quiet = queued(store, short(make_spec))
    status(store, quiet, "done")
    slow = study_of(store, quiet, options={"slow": True})
    until(lambda: store.studies.get(slow).status == "running", "the study")
    monkeypatch.setattr(worker_module, "TURN_SECONDS", 0.0)
    run = queued(store, short(make_spec))
    status(store, run, "done")  # at the study's reports, a round each time
    assert store.studies.get(slow).status == "running"
    assert not warnings(store, run)
    for name in TABLES:
        assert table(store.get(run).folder / name) == table(store.get(quiet).folder / name)
    norms.gate.set()
    found = store.studies.found(store.get(quiet).folder, ended(store, slow))
    assert found["tables"] == study(store.get(quiet).folder, "norms", {})["tables"]


def test_a_run_that_goes_on_gives_way_to_a_study(store, make_spec, norms, monkeypatch):
    monkeypatch.setattr(worker_module, "TURN_SECONDS", 0.0)
    norms.gate.set()
    run = queued(store, long(make_spec))
    until(lambda: len(kinds(store, run, "edited")) >= 2, "a round")
    assert ended(store, study_of(store, run)).status == "done"
    assert len(kinds(store, run, "edited")) < 12
    status(store, run, "done")


def test_a_run_is_deleted_under_a_study(store, make_spec, norms):
    run = queued(store, short(make_spec))
    status(store, run, "done")
    number = study_of(store, run, options={"slow": True})
    until(lambda: store.studies.get(number).status == "running", "the study")
    store.command(run, "delete")
    until(lambda: store.get(run) is None, "the deletion")
    assert store.studies.get(number) is None


def test_a_study_that_fails_says_why(store, make_spec, norms, monkeypatch):
    run = queued(store, short(make_spec))
    status(store, run, "done")

    def fails(self, case, rounds):
        raise UserError("there are too few rounds for that")

    monkeypatch.setattr(norms, "run", fails)
    state = ended(store, study_of(store, run))
    assert (state.status, state.message) == ("failed", "there are too few rounds for that")
