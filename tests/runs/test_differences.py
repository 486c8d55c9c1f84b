"""A finished run's spec.json is run again as it is, and what is different since is said."""

import json

import pytest

from core.__main__ import main
from core.runs.spec.differences import SAME, compared, differing
from tests.runs.tables import TABLES, table

pytestmark = pytest.mark.slow

BEFORE = {
    "lanes": [{"name": "MEMIT", "lambda": 30.0}],
    "layers": {"MEMIT": [1, 2]},
    "model": {"fingerprint": "a" * 64, "threads": 2},
    "versions": {"torch": "2.12", "numpy": "2"},
}


def test_what_differs_is_named_by_its_place():
    now = json.loads(json.dumps(BEFORE)) | {"facts": 3}
    assert compared(BEFORE, now) == (True, SAME)
    assert compared(BEFORE, now | {"layers": {"MEMIT": (1, 2)}}) == (True, SAME)
    now["versions"]["torch"], now["lanes"][0]["lambda"] = "2.13", 60.0
    same, said = compared(BEFORE, now)
    assert not same
    assert 'versions.torch was "2.12", is "2.13"' in said
    assert "lanes[0].lambda was 30.0, is 60.0" in said


@pytest.mark.parametrize("before", [{"lanes": 3}, {"lanes": []}, {"model": None}, {"x": {"y": [1, {"z": 2}]}}])
def test_any_past_can_be_compared(before):
    assert list(differing(before, BEFORE))
    assert "\n" not in compared(before, BEFORE)[1]


def test_many_differences_are_counted():
    assert "; and 15 more." in compared({str(number): number for number in range(20)}, {})[1]


def test_a_finished_runs_spec_is_run_again_as_it_is(done, tmp_path, capsys):
    assert main(["run", str(done / "spec.json"), "--out", str(tmp_path / "again")]) == 0
    assert SAME in capsys.readouterr().out
    for name in TABLES:
        assert table(done / name) == table(tmp_path / "again" / name)
    assert json.loads((tmp_path / "again" / "spec.json").read_text()) == json.loads((done / "spec.json").read_text())


def test_it_goes_on_in_its_own_folder_too(done, capsys):
    assert main(["run", str(done / "spec.json"), "--out", str(done), "--resume"]) == 0
    assert "this run is done already" in capsys.readouterr().out
