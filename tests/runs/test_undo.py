"""Undo: what stands of the events afterwards, and that a run goes on as if the undone rounds had never been."""

import pytest

from core.editing.deltas.ledger import Ledger
from core.errors import UserError
from core.runs.progress.events import Edited, Finished, Measured, Started, Undone, Warned, standing
from core.runs.spec.plan import Past
from core.runs.store import undo as module
from core.runs.store.folder import RunFolder
from core.runs.store.store import Store
from core.runs.store.undo import bring_in_line, undo
from tests.runs.at_work import answered, kinds, long, queued, status, until
from tests.runs.tables import TABLES, table

pytestmark = pytest.mark.slow

SPEC = {"model": "pocket", "facts": {"source": "pocket", "count": 3}, "lanes": [{"method": "memit", "name": "a"}]}


def edited(number):
    return Edited(lane="a", round=number, facts=[number - 1], seconds={"total": 1.0}, layers=[], hash={})


def measured(number):
    return Measured(lane="a", round=number, scores={"edits": number, "efficacy": 0.5})


EVENTS = [
    Started(lanes=[{"label": "a"}], rounds=3, facts=3, layers={"a": [1]}, model={}, versions={}),
    measured(0),
    *(event for number in (1, 2, 3) for event in (edited(number), measured(number))),
    Warned(message="broken", level="error", lane="a", round=3),
    Finished(status="done"),
]


def place(event):
    return event["kind"], event.get("round", event.get("to"))


def test_events_of_undone_rounds_do_not_stand():
    events = [event.as_dict() for event in EVENTS]
    assert standing(events) == events
    undone = [*events, Undone(to=2).as_dict()]
    assert [place(event) for event in standing(undone)] == [
        ("started", None),
        *[("measured", 0), ("edited", 1), ("measured", 1), ("edited", 2), ("measured", 2)],
        *[("finished", None), ("undone", 2)],
    ]
    past = Past(undone)
    assert (past.last_round, past.last_edit("a"), past.failed) == (2, 2, {})
    again = [*undone, edited(3).as_dict()]
    assert Past(again).last_round == 3
    assert Past([*again, Undone(to=0).as_dict(), edited(1).as_dict()]).last_round == 1


@pytest.fixture
def home(tmp_path):
    """A store of its own, which no worker looks at."""
    opened = Store(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def over(home):
    """A run that is done, with its folder as a worker leaves it."""
    run = home.get(home.create_run(SPEC))
    home.append(run.id, EVENTS, status="done")
    folder, ledger = RunFolder(run.folder), Ledger(RunFolder(run.folder).ledger)
    folder.restore([event.as_dict() for event in EVENTS])
    folder.write_facts([{"lane": "a", "fact": 0}])
    ledger.lane_folder("a").mkdir(parents=True)
    for number in (1, 2, 3):
        ledger.path("a", number).touch()
    return home.get(run.id)


def rounds(run):
    return [row["round"] for row in table(run.folder / "rounds.csv")], Ledger(RunFolder(run.folder).ledger).rounds("a")


def test_tables_and_ledger_follow_the_undo(home, over):
    found = undo(home, over)
    assert found == {"to": 2, "message": "Round 3 is undone; resume to continue from the end of round 2."}
    assert (home.get(over.id).status, home.get(over.id).message) == ("paused", found["message"])
    assert [event["kind"] for _, event in home.events(over.id)] == [*(event.kind for event in EVENTS), "undone"]
    assert rounds(over) == (["0", "1", "2"], [1, 2])
    assert not (over.folder / "facts.csv").exists()
    found = undo(home, home.get(over.id), to=0)
    assert found["message"] == "Rounds 1 to 2 are undone; resume to continue from the unedited model."
    assert rounds(over) == (["0"], [])


def test_what_was_cut_short_is_finished_by_asking_again(home, over, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(module, "bring_in_line", lambda *_: 1 / 0)  # as if killed after the commit
        with pytest.raises(ZeroDivisionError):
            undo(home, over, to=2)
    assert rounds(over)[1] == [1, 2, 3]
    assert "nothing was undone" in undo(home, home.get(over.id), to=2)["message"]
    assert rounds(over) == (["0", "1", "2"], [1, 2])
    assert len(kinds(home, over.id, "undone")) == 1


def test_a_folder_in_line_is_left_as_it_is(over):
    before = {path: path.read_bytes() for path in over.folder.rglob("*") if path.is_file()}
    bring_in_line(RunFolder(over.folder), [event.as_dict() for event in EVENTS])
    assert {path: path.read_bytes() for path in over.folder.rglob("*") if path.is_file()} == before


def test_what_cannot_be_undone_is_told(home, over):
    for to in (-1, 4):
        with pytest.raises(UserError, match="rounds 0 to 3 are edited"):
            undo(home, over, to)
    home.set_status(over.id, "running")
    with pytest.raises(UserError, match="pause or stop it"):
        undo(home, home.get(over.id))
    run = home.create_run(SPEC)
    home.set_status(run, "paused")
    with pytest.raises(UserError, match="nothing to undo"):
        undo(home, home.get(run))


def same(store, run, done):
    for name in TABLES:
        assert table(store.get(run).folder / name) == table(done / name)


def test_a_run_that_is_done_goes_on_after_an_undo_to_the_same_tables(store, make_spec, done):
    run = queued(store, make_spec())
    status(store, run, "done")
    found = answered(store, store.command(run, "undo"))
    assert found.state == "done", found.answer
    assert found.answer["to"] == 2
    assert store.get(run).status == "paused"
    assert {row["round"] for row in table(store.get(run).folder / "rounds.csv")} == {"0", "1", "2"}
    probe = answered(store, store.command(run, "probe", {"prompt": "France was born in", "round": 3}))
    assert "rounds 0 to 2 are" in probe.answer["message"]
    answered(store, store.command(run, "resume"))
    status(store, run, "done")
    same(store, run, done)
    hashes = [event["hash"] for event in kinds(store, run, "edited")]
    assert len(hashes) == 8
    assert hashes[4:6] == hashes[6:]  # the last round of both lanes, bit for bit


def test_a_paused_run_is_taken_back_where_it_stands(store, make_spec, done):
    run = queued(store, make_spec())
    store.command(run, "pause")
    store.command(run, "step", {"rounds": 2})

    def last():
        return Past(event for _, event in store.events(run)).last_round

    until(lambda: store.get(run).status == "paused" and last() == 2, "two rounds")
    found = answered(store, store.command(run, "undo"))
    assert found.state == "done", found.answer
    assert store.get(run).status == "paused"
    assert last() == 1
    store.command(run, "resume")
    status(store, run, "done")
    same(store, run, done)


def test_stop_and_undo_in_one_breath(store, make_spec):
    run = queued(store, long(make_spec))
    until(lambda: kinds(store, run, "edited"), "an edit")
    refused = answered(store, store.command(run, "undo"))
    assert "pause or stop it" in refused.answer["message"]
    store.command(run, "stop")
    found = answered(store, store.command(run, "undo", {"to": 0}))
    assert found.answer["to"] == 0
    assert store.get(run).status == "paused"
    assert "unedited model" in store.get(run).message
