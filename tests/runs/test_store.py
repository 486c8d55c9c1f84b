"""The store: runs, events, commands, turns; two processes; damage; a full disk."""

import json
import multiprocessing
import os
import sqlite3
import time

import pytest

from core.errors import UserError
from core.runs.progress.events import Edited, Finished, Measured, Progress, Warned, from_dict, to_json
from core.runs.store.database import Damaged, DiskFull, is_disk_full
from core.runs.store.folder import RunFolder
from core.runs.store.store import FIRST, NEW_RUN, Store

SPEC = {"model": "pocket", "facts": {"source": "pocket", "count": 10}, "lanes": [{"method": "memit"}]}


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "home")
    yield opened
    opened.close()


def measured(round, **scores):
    return Measured(lane="MEMIT", round=round, scores=scores)


def test_a_run_is_created_listed_and_deleted(store):
    run = store.create_run(SPEC, owner="anna")
    other = store.create_run(SPEC, owner="bert", title="mine")
    assert len(run) >= 16
    assert store.get(run).spec == SPEC
    assert store.get(run).title == "memit · 10 facts · pocket"
    assert [found.id for found in store.runs()] == [other, run]
    assert [found.id for found in store.runs("bert")] == [other]
    assert store.runs("bert")[0].spec is None
    assert store.get(run).folder.is_dir()
    store.delete(run)
    assert store.get(run) is None
    assert not (store.home / "runs" / run).exists()
    assert store.get("no such run") is None


def test_a_run_is_renamed_and_noted(store):
    run = store.create_run(SPEC, owner="anna")
    store.rename(run, "  the first \n one ")
    store.note(run, "Seen: collapse\nat round 3")
    assert (store.get(run).title, store.get(run).notes) == ("the first one", "Seen: collapse\nat round 3")
    assert [found.notes for found in store.runs()] == ["Seen: collapse\nat round 3"]
    for title in ("", "  ", "x" * 201):
        with pytest.raises(UserError, match="a title has 1 to 200"):
            store.rename(run, title)
    with pytest.raises(UserError, match="at most 20,000"):
        store.note(run, "x" * 20_001)
    store.rename("no such run", "title")
    assert [found.id for found in store.runs()] == [run]
    saved = json.loads((store.get(run).folder / "run.json").read_text())
    assert (saved["title"], saved["notes"], saved["spec"]) == ("the first one", "Seen: collapse\nat round 3", SPEC)


def test_a_file_of_the_first_version_is_taken_over(tmp_path):
    connection = sqlite3.connect(tmp_path / "lab.sqlite")
    connection.executescript(FIRST + "; PRAGMA user_version = 1")
    row = ("abc", "anna", "old", json.dumps(SPEC), "runs/abc", "done", 1.0, 1.0)
    connection.execute(NEW_RUN, row)
    connection.commit()
    connection.close()
    for _ in range(2):
        store = Store(tmp_path)
        assert store.notice is None
        store.note("abc", store.get("abc").notes + "+")
        assert store.studies.of("abc") == []
        store.close()
    store = Store(tmp_path)
    assert (store.get("abc").title, store.get("abc").notes) == ("old", "++")
    store.close()


def test_events_are_numbered_and_read_from_where_one_left_off(store):
    run = store.create_run(SPEC)
    assert store.append(run, [measured(0, efficacy=0.5), Warned(message="careful")]) == 2
    assert store.append(run, [Finished(status="done")], status="done", message="All rounds done.") == 3
    assert [seq for seq, _ in store.events(run)] == [1, 2, 3]
    assert [event["kind"] for _, event in store.events(run, after=1)] == ["warned", "finished"]
    assert store.get(run).status == "done"
    assert store.get(run).message == "All rounds done."


def test_events_survive_json_and_hold_no_nan():
    event = Edited(
        lane="a", round=1, facts=[0], seconds={"total": float("nan")}, layers=[{"layer": 1, "x": float("inf")}], hash={}
    )
    assert '"total":null' in to_json(event)
    assert from_dict(event.as_dict()) == Edited(
        lane="a", round=1, facts=[0], seconds={"total": None}, layers=[{"layer": 1, "x": None}], hash={}
    )


def test_only_the_latest_progress_is_kept(store):
    run = store.create_run(SPEC)
    assert store.progress(run) is None
    store.set_progress(run, Progress(phase="loading"))
    store.set_progress(run, Progress(phase="values", done=3, total=10))
    assert store.progress(run)["phase"] == "values"
    store.set_progress(run, None)
    assert store.progress(run) is None


def test_commands_wait_until_they_are_answered(store):
    run = store.create_run(SPEC)
    probe = store.command(run, "probe", {"prompt": "Paris is", "lane": "MEMIT", "round": 1})
    pause = store.command(run, "pause")
    assert [command.id for command in store.waiting()] == [probe, pause]
    store.set_answer(probe, {"after": "in France"})
    assert store.answer(probe).state == "done"
    assert store.answer(probe).answer == {"after": "in France"}
    assert [command.kind for command in store.waiting()] == ["pause"]
    with pytest.raises(UserError, match='"pause"'):
        store.command(run, "pauze")


def test_owners_take_turns(store):
    a1, a2, a3 = (store.create_run(SPEC, owner="a") for _ in range(3))
    b1 = store.create_run(SPEC, owner="b")
    assert store.queue() == [a1, b1, a2, a3]
    store.claim(a1)
    assert store.queue() == [b1, a2, a3]
    assert store.get(a2).position == 2
    assert store.get(a1).position == 0
    store.set_status(a1, "done")
    store.claim(b1)
    store.set_status(b1, "done")
    b2 = store.create_run(SPEC, owner="b")
    assert store.queue() == [a2, b2, a3]
    assert store.next_queued().id == a2


def test_attempts_count_claims_since_the_last_commit(store):
    run = store.create_run(SPEC)
    for _ in range(2):
        store.claim(run)
    assert store.left_running()[0].attempts == 2
    store.append(run, [measured(0)])
    assert store.get(run).attempts == 0


def test_a_silent_worker_is_noticed(store):
    assert store.worker() is None
    store.beat(os.getpid(), "waiting")
    assert store.worker().alive
    with store._database.writing() as db:
        db.execute("UPDATE worker SET beat = ?", (time.time() - 60,))
    assert not store.worker().alive


def _append_many(home, run, count):
    store = Store(home)
    for number in range(count):
        store.append(run, [measured(number)])
        store.set_progress(run, Progress(phase="values", done=number))


def test_two_processes_write_without_losing_events(store):
    run = store.create_run(SPEC)
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_append_many, args=(store.home, run, 40)) for _ in range(2)]
    for writer in writers:
        writer.start()
    seen = 0
    while any(writer.is_alive() for writer in writers):
        seen = max([seen, *(seq for seq, _ in store.events(run, after=seen))])
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert [seq for seq, _ in store.events(run)] == list(range(1, 81))


@pytest.mark.parametrize("content", [b"this is no database, however long it may be" * 100, None])
def test_a_damaged_database_is_set_aside(tmp_path, content):
    store = Store(tmp_path)
    assert store.notice is None
    runs = [store.create_run(SPEC) for _ in range(100)]
    RunFolder(store.get(runs[0]).folder).add(measured(0, efficacy=0.5, said="one\u2028two").as_dict())
    with (store.get(runs[0]).folder / "events.jsonl").open("a") as file:
        file.write('{"kind":"meas')  # a line that was not finished
    store.close()
    path = tmp_path / "lab.sqlite"
    if content is None:  # damage in the middle, as a broken disk leaves it
        content = bytearray(path.read_bytes())
        content[4096 * 3 : 4096 * 12] = b"\xa5" * 4096 * 9
    path.write_bytes(content)
    store = Store(tmp_path)
    assert "was damaged" in store.notice
    assert "lab-damaged-" in store.notice
    assert len(list(tmp_path.glob("lab-damaged-*.sqlite"))) == 1
    assert [run.id for run in store.runs()] == runs[::-1]  # read back from their folders
    assert store.events(runs[0]) == [(1, measured(0, efficacy=0.5, said="one\u2028two").as_dict())]
    assert store.get(runs[0]).status == "stopped"
    assert store.get(runs[0]).spec == SPEC
    assert store.get(store.create_run(SPEC)).status == "queued"
    store.close()


def test_damage_while_open_is_told_and_the_store_goes_on(tmp_path):
    store = Store(tmp_path)
    store.create_run(SPEC)
    store._database._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with (tmp_path / "lab.sqlite").open("r+b") as file:
        file.write(b"\0" * 8192)
    other = Store(tmp_path)  # another process finds the damage first
    assert other.notice
    run = other.create_run(SPEC)
    assert store.get(run) is not None  # and this one follows it to the new file
    store.close()
    other.close()


def test_a_later_version_is_refused(tmp_path):
    Store(tmp_path).close()
    connection = sqlite3.connect(tmp_path / "lab.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(UserError, match="later version"):
        Store(tmp_path)


def test_a_home_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be made"):
        Store(tmp_path / "file" / "home")


def test_a_full_disk_is_told_and_loses_nothing(store):
    run = store.create_run(SPEC)
    store.append(run, [measured(0)])
    pages = store._database.read("PRAGMA page_count")[0]["page_count"]
    store._database.read(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(DiskFull, match="the disk is full; make room"):
        store.append(run, [measured(number, note="x" * 1000) for number in range(200)])
    committed = store.events(run)
    store._database.read("PRAGMA max_page_count = 100000")
    assert store.append(run, [measured(1)]) == len(committed) + 1
    assert store.events(run)[: len(committed)] == committed


@pytest.mark.parametrize(
    "error, full",
    [
        (OSError(28, "No space left on device"), True),
        (sqlite3.OperationalError("database or disk is full"), True),
        (RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"), True),
        (OSError(13, "Permission denied"), False),
        (sqlite3.OperationalError("database is locked"), False),
    ],
)
def test_a_full_disk_is_told_from_other_errors(error, full):
    assert is_disk_full(error) == full


def test_damage_found_by_a_query_is_told(store, monkeypatch):
    def broken():
        raise sqlite3.DatabaseError("database disk image is malformed")

    monkeypatch.setattr(store._database, "_live", broken)
    monkeypatch.setattr(store._database, "_set_aside", lambda reason: f"set aside: {reason}")
    with pytest.raises(Damaged, match="set aside"):
        store.events("x")


def test_messages_are_kept_at_a_bounded_length(store):
    run = store.create_run(SPEC)
    long = f"begins {'x' * 470_000} ends"
    store.append(run, [Warned(message=long), Finished(status="failed", message=long)], status="failed", message=long)
    command = store.command(run, "probe", {"prompt": "a"})
    store.set_answer(command, {"message": long}, failed=True)
    kept = [store.get(run).message, store.answer(command).answer["message"]]
    kept += [event["message"] for _, event in store.events(run)]
    for message in kept:
        assert len(message) <= 2_000
        assert message.startswith("begins ")
        assert message.endswith(" ends")
        assert "characters left out" in message
