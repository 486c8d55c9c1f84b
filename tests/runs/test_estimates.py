"""How long measures will take is told before they begin: on the command line, and as an event."""

import json

import pytest

from core.__main__ import main
from core.measures.cost import cost_model as estimate
from core.measures.cost.cost_model import Speed
from core.runs.engine import engine
from core.runs.engine.laboratory import Laboratory
from core.runs.opened.remeasure import Again, remeasure
from core.runs.opened.run import OpenedRun
from core.runs.opened.study import study
from core.runs.progress.control import Control
from tests.runs.performed import performed

INSIDE = "Singular values, similarity and R_k of 2 layers are expected to take about 2 minutes on this machine"


@pytest.fixture
def slow(monkeypatch):
    """A machine that takes a minute for the eigenvectors of two layers of width 32, and does all else at once."""
    rates = Speed(products=1e15, eigen=2 * 32**3 / 60.0, svd=2 * 32**3 / 60.0)
    monkeypatch.setattr(estimate, "speed", lambda device, dtype: rates)


def test_a_run_says_how_long_its_measures_will_take(slow, make_spec, tmp_path, monkeypatch):
    reports, built = [], []
    true = engine.prepare

    def watched(*given):
        bench = true(*given)
        built.append(len(reports))
        return bench

    monkeypatch.setattr(engine, "prepare", watched)
    control = Control(report=reports.append)
    events = performed(Laboratory(tmp_path / "home"), make_spec(), tmp_path / "run", control, stop_after=3)
    told = [report for report in reports[: built[0]] if report.phase == "inside"]  # before W_0 is decomposed
    assert [report.eta_seconds for report in told] == [pytest.approx(120, rel=1e-3)]
    assert told[0].message.startswith(INSIDE)
    assert "then about 1 minute after each measured round of a lane" in told[0].message
    (noted,) = [event for event in events if event["kind"] == "warned" and event["level"] == "info"]
    assert (noted["message"], noted["round"]) == (told[0].message, 0)
    assert "measured" not in [event["kind"] for event in events[: events.index(noted)]]


def test_on_the_command_line_it_is_told_once_before_the_first_round(slow, make_spec, tmp_path, capsys):
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(make_spec(round_size=6)))
    assert main(["run", str(path), "--out", str(tmp_path / "run")]) == 0
    lines = capsys.readouterr().out.splitlines()
    (place,) = [i for i, line in enumerate(lines) if line.startswith(f"note: {INSIDE}")]
    assert place < next(i for i, line in enumerate(lines) if line.startswith("round 0/1"))


def test_measuring_again_says_it_too(slow, done, capsys):
    reports = []
    written = remeasure(OpenedRun(done, control=Control(report=reports.append)), again=Again(name="told"))
    first = next(report for report in reports if report.phase == "inside")
    assert first.message.startswith(INSIDE)
    assert reports.index(first) < next(i for i, report in enumerate(reports) if report.phase == "scores")
    assert main(["measure", str(done), "--name", "told"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.startswith(f"note: {INSIDE}") for line in lines].count(True) == 1
    for path in written:
        path.unlink()


@pytest.mark.parametrize("name", ["angles", "blocks", "keys", "warning"])
def test_a_study_says_how_long_it_will_take(slow, done, name, capsys):
    reports = []
    study(OpenedRun(done, control=Control(report=reports.append)), name, {}, lanes=["plain"])
    about = [report for report in reports if report.phase == "study"]
    assert "Expected to take about" in about[0].message
    assert about[1].lane == "plain"
    assert about[0].eta_seconds - 30 < about[1].eta_seconds <= about[0].eta_seconds  # until a part of it is measured
    assert main(["measure", str(done), "--study", name, "--lanes", "plain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"note: {about[0].message}" in lines
    for path in done.glob(f"study-{name}*"):
        path.unlink()


def test_what_is_brief_is_not_told(done):
    reports = []
    study(OpenedRun(done, control=Control(report=reports.append)), "angles", {}, lanes=["plain"])
    assert not any("Expected" in report.message for report in reports)
    assert all(report.lane == "plain" for report in reports if report.phase == "study")
