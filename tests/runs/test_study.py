"""Studies of a run on request: what they are given, and the files of the command line."""

import csv
import json
import os
import signal
import subprocess
import sys

import pytest
import torch

from core.__main__ import main
from core.runs.engine.laboratory import Laboratory
from core.runs.opened.catalogue import catalogue
from core.runs.opened.run import OpenedRun
from core.runs.opened.study import case_of, study
from core.runs.progress.control import Control
from tests.runs.at_work import LITTLE
from tests.runs.conftest import LANE
from tests.runs.norms import Norms
from tests.runs.tables import table


def test_a_case_is_the_lane(done, tmp_path):
    run = OpenedRun(done, Laboratory(tmp_path))
    case = case_of(run.lane("guarded"))
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
    assert case.session.memo is run.laboratory.session(run.spec, ()).memo


def test_what_is_found_in_lanes_is_put_together(done, norms):
    reports, random = [], torch.get_rng_state()
    found = study(OpenedRun(done, control=Control(report=reports.append)), "norms", {"layer": 2}, rounds="0,3")
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
    assert told[0].message == "Norms of plain: getting ready"  # a state is rebuilt before any step is counted
    assert not any("of 0" in report.message for report in told)
    assert told[-1].lane == "guarded"


def test_a_long_study_says_so_before_it_begins(done, norms, monkeypatch):
    monkeypatch.setattr(Norms, "seconds", lambda self, case, rounds: 60.0 * len(rounds), raising=False)
    reports = []
    study(OpenedRun(done, control=Control(report=reports.append)), "norms", {}, rounds="0,3")
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
    found = study(OpenedRun(done), "norms", {})
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
    found = study(OpenedRun(out), "values", {}, rounds="all")
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
    code = "import sys; from core.runs.opened.catalogue import catalogue; catalogue(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    for about in catalogue():
        assert about["title"]
        assert about["question"].endswith("?")
        assert about["source"]
        assert all(option["help"] for option in about["options"])


# -- the queue
