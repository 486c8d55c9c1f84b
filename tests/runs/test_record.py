"""A run's folder of which a file is damaged says which, and what to do; a home with such folders still opens."""

import json

import pytest

from core.errors import UserError
from core.runs.store.record import Record
from core.runs.store.recovery import saved_runs

SPEC = {"facts": {"source": "pocket"}, "lanes": [{"method": "memit"}]}
DAMAGED = ["", "{", "[]", "3", "[" * 9_999, "\udcff"]


def write(path, text):
    path.write_text(text, encoding="utf-8", errors="surrogateescape")


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_spec_is_told(tmp_path, text):
    write(tmp_path / "spec.json", text)
    with pytest.raises(UserError, match="spec.json: is damaged; restore it from a copy"):
        Record.read(tmp_path)


@pytest.mark.parametrize("text", [*DAMAGED[1:], '{"a": 1}', '{"kind": "started"}', '{"kind": "edited", "lane": []}'])
def test_damaged_events_are_told(tmp_path, text):
    write(tmp_path / "spec.json", json.dumps(SPEC))
    write(tmp_path / "events.jsonl", text + "\n")
    with pytest.raises(UserError, match="events.jsonl is missing or damaged; resume the run"):
        Record.read(tmp_path)


@pytest.mark.parametrize("created, title", [("soon", ""), ([], ""), (1, ["a"]), (10**400, "")])
def test_a_run_that_cannot_be_found_again_is_passed_over(tmp_path, created, title):
    for name, row in (("good", {"created": 3}), ("bad", {"created": created, "title": title})):
        (tmp_path / "runs" / name).mkdir(parents=True)
        whole = {"id": name, "owner": "", "title": "", "spec": SPEC} | row
        (tmp_path / "runs" / name / "run.json").write_text(json.dumps(whole))
        write(tmp_path / "runs" / name / "events.jsonl", "[" * 9_999)
    assert [run.row["id"] for run in saved_runs(tmp_path)] == ["good"]
