"""`python -m core run` and `measure`: exit statuses, one clear line for bad input, tables, resuming."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.__main__ import main
from core.runs.engine import engine
from core.runs.progress.events import Warned
from core.runs.store.store import Store
from tests.runs.at_work import PATIENCE
from tests.runs.tables import TABLES, table

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def spec_file(make_spec, tmp_path):
    def write(**changes):
        path = tmp_path / "spec.json"
        path.write_text(json.dumps(make_spec(**changes)))
        return path

    return write


def test_a_run_fills_its_folder(done, capsys):
    assert {path.name for path in done.iterdir()} >= {"spec.json", "events.jsonl", "ledger", "lab.sqlite", *TABLES}
    assert len(table(done / "rounds.csv")) == 8
    store = Store(done)
    assert [run.status for run in store.runs()] == ["done"]
    assert store.runs()[0].folder == done
    store.close()


BAD = [
    (["run", "nowhere.json", "--out", "out"], "nowhere.json: No such file or directory"),
    (["run", "SPEC", "--out", "SPEC"], "is a file; give a folder"),
    (["measure", "nowhere"], "no run is there"),
]


@pytest.mark.parametrize("arguments, message", BAD)
def test_bad_input_is_one_line_and_status_2(spec_file, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    arguments = [str(spec_file()) if part == "SPEC" else part for part in arguments]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_what_only_shows_when_the_run_begins_is_status_2_too(spec_file, tmp_path, capsys):
    assert main(["run", str(spec_file(model="no/such/folder/here")), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: There is no model folder")
    assert said.count("\n") == 1


def test_layers_that_the_model_lacks_are_bad_input(spec_file, tmp_path, capsys):
    lanes = [{"method": "memit", "layers": [1, 40]}]
    assert main(["run", str(spec_file(lanes=lanes)), "--out", str(tmp_path / "out")]) == 2
    assert "The model has layers 0 to 3" in capsys.readouterr().err


def test_a_folder_with_a_run_is_kept(done, spec_file, capsys):
    assert main(["run", str(spec_file()), "--out", str(done)]) == 2
    assert "holds a run already" in capsys.readouterr().err
    assert main(["run", str(spec_file(seed=5)), "--out", str(done), "--resume"]) == 2
    assert "another spec (seed differ)" in capsys.readouterr().err
    assert main(["run", str(spec_file()), "--out", str(done), "--resume"]) == 0
    assert "done already" in capsys.readouterr().out


def test_a_folder_with_somebodys_tables_is_kept(spec_file, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "rounds.csv").write_text("mine")
    assert main(["run", str(spec_file()), "--out", str(out)]) == 2
    assert "holds rounds.csv" in capsys.readouterr().err


def test_a_lane_that_ends_early_is_status_3(spec_file, tmp_path, monkeypatch, capsys):
    from core.editing.failure import EditFailure

    def breaks(*arguments):
        raise EditFailure("The edit is not finite.")

    monkeypatch.setattr(engine, "edit_round", breaks)
    assert main(["run", str(spec_file()), "--out", str(tmp_path / "out")]) == 3
    assert "The edit is not finite" in capsys.readouterr().out


def test_a_full_disk_stops_the_run_which_then_goes_on(done, spec_file, tmp_path, monkeypatch, capsys):
    true, written = engine.Ledger.append, []

    def full(self, *arguments):
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        written.append(arguments[:2])
        return true(self, *arguments)

    monkeypatch.setattr(engine.Ledger, "append", full)
    out = tmp_path / "out"
    assert main(["run", str(spec_file()), "--out", str(out)]) == 3
    assert "is full; make room, then resume" in capsys.readouterr().out
    monkeypatch.setattr(engine.Ledger, "append", true)
    assert main(["run", str(spec_file()), "--out", str(out), "--resume"]) == 0
    assert "round 3/3  guarded:" in (told := capsys.readouterr().out)
    assert "/0" not in told
    for name in TABLES:
        assert table(out / name) == table(done / name)


def test_a_longer_spec_adds_its_lanes(done, make_spec, spec_file, tmp_path, capsys):
    out, lanes = tmp_path / "out", make_spec()["lanes"]
    assert main(["run", str(spec_file(lanes=lanes[:1])), "--out", str(out)]) == 0
    assert main(["run", str(spec_file(lanes=lanes[::-1])), "--out", str(out), "--resume"]) == 2
    assert 'has a lane "plain" already' in capsys.readouterr().err
    assert main(["run", str(spec_file()), "--out", str(out), "--resume"]) == 0
    assert "round 3/3  guarded:" in (told := capsys.readouterr().out)
    assert "/0" not in told
    for name in TABLES:
        assert table(out / name) == table(done / name)
    assert main(["run", str(spec_file()), "--out", str(out), "--resume"]) == 0
    assert "done already" in capsys.readouterr().out
    assert main(["run", str(spec_file(lanes=lanes[:1])), "--out", str(out), "--resume"]) == 2
    assert "another spec (lanes differ)" in capsys.readouterr().err


def test_a_run_that_is_asked_to_pauses_on_a_warning(done, make_spec, spec_file, tmp_path, monkeypatch, capsys):
    def flagged(past, lane, number):
        if (lane, number) == ("plain", 2):
            yield Warned(lane=lane, round=number, message="On its way to collapse.")

    monkeypatch.setattr(engine, "flagged", flagged)
    out, measure = tmp_path / "out", make_spec()["measure"] | {"pause_on_warning": True}
    assert main(["run", str(spec_file(measure=measure)), "--out", str(out)]) == 3
    assert "Paused: plain, round 2: On its way to collapse." in capsys.readouterr().out
    assert '"status":"paused"' in (out / "events.jsonl").read_text().splitlines()[-1]
    assert [row["round"] for row in table(out / "rounds.csv")][-1] == "2"
    assert main(["run", str(spec_file(measure=measure)), "--out", str(out), "--resume"]) == 0
    for name in TABLES:
        assert table(out / name) == table(done / name)


def test_a_lane_whose_measures_are_not_finite_ends(spec_file, tmp_path, monkeypatch, capsys):
    def flagged(past, lane, number):
        if (lane, number) == ("plain", 2):
            yield Warned(lane=lane, round=number, level="error", message="The model is broken.")

    monkeypatch.setattr(engine, "flagged", flagged)
    assert main(["run", str(spec_file()), "--out", str(tmp_path / "out")]) == 3
    assert "plain, round 2: The model is broken. This lane ends here." in capsys.readouterr().out
    last = {row["lane"]: row["round"] for row in table(tmp_path / "out" / "rounds.csv")}
    assert last == {"plain": "2", "guarded": "3"}


def started(spec, out, *options):
    command = [sys.executable, "-m", "core", "run", str(spec), "--out", str(out), *options]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def wait_for_edits(out, count):
    """Until so many edits are committed."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        path = out / "events.jsonl"
        if path.exists() and path.read_text().count('"kind":"edited"') >= count:
            return
        time.sleep(0.02)
    raise AssertionError("no edits were committed in time")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_killed_goes_on_to_the_same_tables(done, spec_file, tmp_path, number, capsys):
    out = tmp_path / "out"
    process = started(spec_file(), out)
    wait_for_edits(out, 2)
    process.send_signal(number)
    said = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == (3 if number == signal.SIGINT else -signal.SIGKILL), said
    assert (out / "events.jsonl").read_text().count('"kind":"edited"') < 6
    assert "Traceback" not in said
    assert main(["run", str(spec_file()), "--out", str(out), "--resume"]) == 0
    assert "round 3/3  guarded:" in (told := capsys.readouterr().out)
    assert "/0" not in told
    for name in TABLES:
        assert table(out / name) == table(done / name)


def test_measuring_again_writes_tables_beside_the_first(done, capsys):
    assert main(["measure", str(done), "--rounds", "all", "--all", "--maps", "pca", "--name", "full"]) == 0
    first, again = table(done / "rounds.csv"), table(done / "rounds-full.csv")
    assert sorted((r["lane"], r["round"]) for r in again) == sorted((r["lane"], r["round"]) for r in first)
    assert [row["efficacy"] for row in again] == [row["efficacy"] for row in first]
    same = ("lane", "round", "layer", "dominant_rank", "ls", "ss_right", "frobenius", "rk_median")
    assert [[row[name] for name in same] for row in table(done / "layers-full.csv")] == [
        [row[name] for name in same] for row in table(done / "layers.csv")
    ]
    assert len(json.loads((done / "maps-full.json").read_text())) == 8


def test_measuring_what_is_not_there(done, capsys):
    assert main(["measure", str(done), "--rounds", "9"]) == 2
    assert "rounds: plain has rounds 0 to 3, not 9" in capsys.readouterr().err
    assert main(["measure", str(done), "--lanes", "plane"]) == 2
    assert 'did you mean "plain"?' in capsys.readouterr().err
