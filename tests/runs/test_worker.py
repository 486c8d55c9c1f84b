"""The worker: commands while a run goes on, questions, turns; its death and what comes after."""

import os
import sys
import time

import pytest

from core.errors import UserError
from core.paths import default_home
from core.runs.store.store import Store
from core.runs.store.study_queue import Asked
from core.runs.worker import loop as worker_module
from core.runs.worker.loop import GIVEN_UP, Worker
from core.runs.worker.process import WorkerProcess, worker_lives
from tests.runs.at_work import LITTLE, PATIENCE, answered, kill, kinds, long, queued, status, until, warnings
from tests.runs.tables import TABLES, table

pytestmark = pytest.mark.slow


def test_a_run_is_done_with_the_tables_of_the_command_line(store, make_spec, done):
    run = queued(store, make_spec())
    status(store, run, "done")
    for name in TABLES:
        assert table(store.get(run).folder / name) == table(done / name)
    assert store.progress(run) is None
    assert kinds(store, run, "finished")[-1]["status"] == "done"


def test_pause_step_resume_and_stop(store, make_spec):
    run = queued(store, long(make_spec))
    until(lambda: kinds(store, run, "edited"), "an edit")
    answered(store, store.command(run, "pause"))
    assert store.get(run).status == "paused"
    held = len(store.events(run))
    time.sleep(0.3)
    assert len(store.events(run)) == held

    def rounds():
        return {event["round"] for event in kinds(store, run, "measured") if event["lane"] == "guarded"}

    before = max(rounds())
    answered(store, store.command(run, "step"))
    until(lambda: store.get(run).status == "paused" and max(rounds()) == before + 1, "one round more")
    answered(store, store.command(run, "resume"))
    assert store.get(run).status in ("running", "done")
    answered(store, store.command(run, "stop"))
    until(lambda: store.get(run).status in ("stopped", "done"), "the end")
    committed = len(kinds(store, run, "edited"))
    answered(store, store.command(run, "resume"))
    status(store, run, "done")
    assert committed <= len(kinds(store, run, "edited")) == 12
    with_end = answered(store, store.command(run, "resume"))
    assert with_end.state == "failed"
    assert "is done" in with_end.answer["message"]


def test_a_probe_is_answered_while_a_run_goes_on_and_changes_nothing(store, make_spec):
    spec = long(make_spec)
    quiet = queued(store, spec)
    status(store, quiet, "done")
    run = queued(store, spec)
    until(lambda: kinds(store, run, "edited"), "an edit")
    asked = {"prompt": "France was born in", "lane": "plain", "round": 1, "top": 5, "new_tokens": 3}
    answers = []
    for _ in range(4):
        answers.append(answered(store, store.command(run, "probe", asked)))
        assert answers[-1].state == "done", answers[-1].answer
    assert store.get(run).status == "running"
    first = answers[0].answer
    assert (first["lane"], first["round"], len(first["after"]["next"])) == ("plain", 1, 5)
    assert first["before"]["next"] != first["after"]["next"]
    assert all(answer.answer["after"] == first["after"] for answer in answers)
    base = answered(store, store.command(run, "probe", {**asked, "round": 0})).answer
    assert base["before"] == base["after"]
    status(store, run, "done")
    for name in TABLES:
        assert table(store.get(run).folder / name) == table(store.get(quiet).folder / name)


UNANSWERABLE = [
    ("probe", {"prompt": ""}, "a prompt of 1 to 2,000"),
    ("probe", {"prompt": "a", "lane": "plane"}, 'did you mean "plain"'),
    ("probe", {"prompt": "a", "round": 9}, "round 9 of plain is not edited yet"),
    ("probe", {"prompt": "a", "top": "many"}, "top should be a whole number"),
    ("map", {"method": "tsnee"}, 'did you mean "tsne"'),
]


def test_questions_about_a_run_that_is_done(store, make_spec):
    run = queued(store, make_spec(round_size=6, measure=LITTLE))
    status(store, run, "done")
    found = answered(store, store.command(run, "map", {"lane": "guarded", "round": 1, "method": "pca"}))
    assert found.state == "done", found.answer
    assert len(found.answer["x"]) == len(found.answer["x0"]) == found.answer["points"]
    for kind, payload, message in UNANSWERABLE:
        found = answered(store, store.command(run, kind, payload))
        assert found.state == "failed"
        assert message in found.answer["message"]


def test_a_paused_run_gives_way_and_goes_on_later(store, make_spec):
    first = queued(store, long(make_spec), owner="anna")
    until(lambda: kinds(store, first, "edited"), "an edit")
    answered(store, store.command(first, "pause"))
    second = queued(store, make_spec(), owner="bert")
    status(store, second, "done")
    assert store.get(first).status == "paused"
    waiting = queued(store, make_spec(), owner="bert")
    answered(store, store.command(waiting, "pause"))
    store.command(first, "step")
    until(lambda: store.get(first).status == "paused" and len(kinds(store, first, "measured")) >= 4, "a step")
    store.command(first, "resume")
    status(store, first, "done")
    assert len({(event["lane"], event["round"]) for event in kinds(store, first, "edited")}) == 12


def test_owners_take_turns_at_the_ends_of_rounds(store, make_spec, monkeypatch):
    monkeypatch.setattr(worker_module, "TURN_SECONDS", 0.0)
    first = queued(store, long(make_spec), owner="anna")
    second = queued(store, long(make_spec), owner="bert")
    status(store, first, "done")
    status(store, second, "done")

    def ended(run, number):
        return store._database.read(
            "SELECT created FROM events WHERE run = ? AND event LIKE ?",
            (run, f'%"edited","lane":"plain","round":{number},%'),
        )[0]["created"]

    assert ended(first, 1) < ended(second, 1) < ended(first, 3)
    assert ended(second, 2) < ended(first, 6)
    assert not warnings(store, first)
    assert len(kinds(store, first, "finished")) == 1


def added(store, run, *lanes):
    return answered(store, store.command(run, "add_lanes", {"lanes": list(lanes)}))


def test_lanes_are_added_to_a_run_that_is_done(store, make_spec, done):
    plain, guarded = make_spec()["lanes"]
    run = queued(store, make_spec(lanes=[plain]))
    status(store, run, "done")
    refused = added(store, run, plain)
    assert (refused.state, refused.answer["message"]) == (
        "failed",
        'this run has a lane "plain" already; give the new one another name',
    )
    wrong = added(store, run, {"method": "memmit"})
    assert wrong.answer["problems"][0]["where"] == "lanes[1].method"
    assert added(store, run, guarded).answer == {"lanes": ["guarded"], "position": 1}
    status(store, run, "done")
    for name in TABLES:
        assert table(store.get(run).folder / name) == table(done / name)
    assert not warnings(store, run)
    probe = {"prompt": "France was born in", "lane": "guarded", "new_tokens": 3}
    assert answered(store, store.command(run, "probe", probe)).answer["round"] == 3
    assert added(store, run, {**plain, "name": "b", "from": {"lane": "plain", "round": 2}}).state == "done"
    status(store, run, "done")
    assert [(e["round"], e["hash"]) for e in kinds(store, run, "edited") if e["lane"] == "b"] == [
        (e["round"], e["hash"]) for e in kinds(store, run, "edited") if (e["lane"], e["round"]) == ("plain", 3)
    ]
    found = answered(store, store.command(run, "probe", {**probe, "lane": "b", "round": 1}))
    assert found.state == "done", found.answer


def test_lanes_are_added_while_a_run_goes_on(store, make_spec):
    plain = make_spec()["lanes"][0]
    run = queued(store, long(make_spec, lanes=[plain]))
    until(lambda: kinds(store, run, "edited"), "an edit")
    assert added(store, run, {**plain, "method": "memmit", "name": "b"}).state == "failed"
    assert added(store, run, {**plain, "name": "b", "lambda": 50}).state == "done"  # at the end of the round
    status(store, run, "done")
    edits = [(event["lane"], event["round"]) for event in kinds(store, run, "edited")]
    assert sorted(edits) == [(lane, n) for lane in ("b", "plain") for n in range(1, 7)]
    assert len(kinds(store, run, "started")) == 2


def test_lanes_are_added_to_a_paused_run_which_goes_on(store, make_spec):
    plain = make_spec()["lanes"][0]
    run = queued(store, long(make_spec, lanes=[plain]))
    until(lambda: kinds(store, run, "edited"), "an edit")
    store.command(run, "pause")
    until(lambda: store.get(run).status == "paused", "the pause")
    assert added(store, run, {**plain, "name": "b", "lambda": 50}).state == "done"
    status(store, run, "done")


def test_a_question_that_needs_another_model_waits_for_its_time(store, make_spec, model_folder):
    other = queued(store, make_spec(dtype="float64", round_size=6, measure=LITTLE))
    status(store, other, "done")
    run = queued(store, long(make_spec))
    until(lambda: kinds(store, run, "edited"), "an edit")
    asked = store.command(other, "probe", {"prompt": "France was born in"})
    here = answered(store, store.command(run, "probe", {"prompt": "France was born in"}))
    assert here.state == "done"
    assert store.answer(asked).state == "waiting"
    status(store, run, "done")
    assert answered(store, asked).state == "done"


def test_a_run_that_cannot_begin_says_why(store, make_spec):
    run = queued(store, make_spec(model="/no/such/model"))
    until(lambda: store.get(run).status == "failed", "failure")
    assert "There is no model folder" in store.get(run).message
    assert kinds(store, run, "finished")[-1]["status"] == "failed"


def test_a_run_can_be_deleted_while_it_goes_on(store, make_spec):
    run = queued(store, long(make_spec))
    until(lambda: kinds(store, run, "edited"), "an edit")
    folder = store.get(run).folder
    store.command(run, "delete")
    until(lambda: store.get(run) is None, "the deletion")
    assert not folder.exists()


def test_kill_9_costs_one_round_and_changes_no_number(tmp_path, make_spec, done):
    """Also: the worker is started again, notices what was left, and leaves when it is asked to."""
    process = WorkerProcess(tmp_path / "home", parent=os.getpid(), options=("--no-preload",))
    store = Store(tmp_path / "home")
    run = queued(store, make_spec())
    process.ensure()
    until(lambda: len(kinds(store, run, "edited")) >= 2, "two edits")
    kill(process, store)
    committed = len(kinds(store, run, "edited"))
    assert committed < 6
    assert store.get(run).status == "running"
    process.ensure()
    status(store, run, "done")
    edits = [(event["lane"], event["round"]) for event in kinds(store, run, "edited")]
    assert len(edits) == len(set(edits)) == 6
    for name in TABLES:
        assert table(store.get(run).folder / name) == table(done / name)
    again = queued(store, long(make_spec))
    until(lambda: kinds(store, again, "edited"), "an edit")
    process.close(PATIENCE)
    until(lambda: not worker_lives(process.home), "the worker's end")
    assert store.get(again).status == "paused"
    assert "The lab was closed" in store.get(again).message
    assert not store.worker().alive
    store.close()


def test_kill_9_while_a_branch_is_computed_changes_no_number(tmp_path, make_spec):
    plain, guarded = make_spec()["lanes"]
    begins = {"from": {"lane": "plain", "round": 1}}
    lanes = [plain, {**guarded, "name": "branch", **begins}, {**plain, "name": "more", "layers": [2, 3], **begins}]
    store = Store(tmp_path / "home")
    quiet, run = queued(store, make_spec(lanes=lanes)), queued(store, make_spec(lanes=lanes[:1]))
    process = WorkerProcess(tmp_path / "home", parent=os.getpid(), options=("--no-preload",))
    process.ensure()
    status(store, quiet, "done")
    status(store, run, "done")
    asked = store.command(run, "add_lanes", {"lanes": lanes[1:]})
    until(lambda: any(event["lane"] == "more" for event in kinds(store, run, "edited")), "an edit of a branch")
    kill(process, store)
    assert store.answer(asked).state == "done"
    assert store.get(run).status == "running"
    process.ensure()
    status(store, run, "done")
    for name in TABLES:
        assert table(store.get(run).folder / name) == table(store.get(quiet).folder / name)
    process.close(PATIENCE)
    until(lambda: not worker_lives(process.home), "the worker's end")
    store.close()


def test_a_study_that_a_worker_died_at_begins_anew_but_not_for_ever(tmp_path, make_spec):
    store = Store(tmp_path)
    run = queued(store, make_spec())
    asked = Asked(name="norms", options={}, lanes=None, rounds="last")
    once, often = (store.studies.add(run, "anna", asked) for _ in range(2))
    for study in (once, often, often, often):
        store.studies.claim(study)
    worker = Worker(tmp_path, preload=False)
    worker._take_over()
    assert (store.studies.get(once).status, store.studies.get(once).attempts) == ("queued", 1)
    assert store.studies.get(often).status == "failed"
    assert "died several times" in store.studies.get(often).message
    store.close()
    worker.store.close()


def test_a_worker_that_dies_at_the_same_step_again_and_again_is_not_let_near_it(tmp_path, make_spec):
    store = Store(tmp_path)
    run = queued(store, make_spec())
    for _ in range(3):
        store.claim(run)
    worker = Worker(tmp_path, preload=False)
    worker._take_over()
    assert store.get(run).status == "failed"
    assert store.get(run).message == GIVEN_UP.format(attempts=3)
    store.close()
    worker.store.close()


def test_a_worker_that_cannot_start_is_reported_with_its_log(tmp_path, monkeypatch):
    process = WorkerProcess(tmp_path, options=("--no-such-option",))
    monkeypatch.setattr(sys, "executable", "/bin/false")

    def tried():
        try:
            process.ensure()
        except UserError as error:
            return str(error)
        return ""

    assert "the worker cannot start" in until(tried, "the report")


def test_home_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    assert default_home() == tmp_path
    monkeypatch.delenv("LAB_HOME")
    assert default_home().name == "edit-lab"
