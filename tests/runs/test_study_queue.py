"""Studies in the queue, made by the worker beside its runs."""

import pytest

from core.errors import UserError
from core.runs.opened.run import OpenedRun
from core.runs.opened.study import study
from core.runs.store.store import Store
from core.runs.store.study_queue import Asked
from core.runs.worker import loop as worker_module
from tests.runs.at_work import LITTLE, answered, kinds, long, queued, status, until, warnings
from tests.runs.tables import TABLES, table

pytestmark = pytest.mark.slow

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
    assert store.studies.result(folder, saved)["study"] == "norms"
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
    found = store.studies.result(store.get(run).folder, state)
    assert [row["round"] for row in found["tables"]["norms"]] == [0, 1, 2]
    assert [state.id for state in store.studies.of(run)] == [number]
    assert (
        found["tables"] == study(OpenedRun(store.get(run).folder), "norms", {"layer": 2}, ["guarded"], "all")["tables"]
    )
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
    assert answered(store, store.command(run, "probe", asked)).answer["after"] == before
    assert store.studies.get(number).status == "running"  # its gate is shut: it cannot have ended before the answer
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
    found = store.studies.result(store.get(quiet).folder, ended(store, slow))
    assert found["tables"] == study(OpenedRun(store.get(quiet).folder), "norms", {})["tables"]


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
