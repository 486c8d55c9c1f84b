import json

import pytest

from core.errors import UserError
from core.runs.progress.events import Edited, Finished, Undone
from core.runs.store.store import Store
from lab_app.handlers.watch import FEEDS, SNAPSHOTS, WINDOW, Reader, doing, kept_rounds, watch
from tests.lab_app.apart import run_apart
from tests.lab_app.synthetic import LANES, measured, record, started


@pytest.fixture
def store(tmp_path):
    found = Store(tmp_path)
    yield found
    found.close()


def test_rows_only_get_appended(store):
    run = record(store, rounds=6, until=2)
    reader = Reader(store, run)
    first = reader.poll()
    assert set(first) == set(FEEDS)
    before = {name: value["rows"] for name, value in first.items()}
    assert not reader.poll()  # nothing new, nothing sent
    store.append(run, [measured(LANES[0], 3, 6, 50)])
    for name, value in reader.poll().items():
        assert value["feed"] == first[name]["feed"]
        (new,) = set(value["rows"]) - set(before[name])
        assert int(new) == len(before[name])
        assert all(before[name][number] == row for number, row in value["rows"].items() if number != new)


def test_what_is_sent_stays_small_however_long_a_run_gets(store):
    run = record(store, rounds=20)
    reader = Reader(store, run)
    reader.poll()
    store.append(run, [measured(LANES[0], 21, 30, 50)])
    later = reader.poll()
    assert max(len(value["rows"]) for value in later.values()) == WINDOW + 1


def test_what_a_method_notes_is_told_once_a_lane(store):
    run = record(store, rounds=1)
    reader = Reader(store, run)
    reader.poll()
    for number in (2, 3):
        noted = Edited(lane="new", round=number, facts=[], seconds={}, layers=[], hash={}, notes=["a null space of 7"])
        store.append(run, [noted])
    told = [one for one in reader.poll()["status"]["state"]["warnings"] if one["lane"] == "new"]
    assert told == [{"message": "a null space of 7", "level": "info", "lane": "new", "round": 2}]


def test_pages_are_told_which_layers_a_lane_really_edited(store):
    run = record(store, rounds=1)
    reader = Reader(store, run)
    reader.poll()

    def edited(lane, number, layer):
        return Edited(lane=lane, round=number, facts=[], seconds={}, layers=[{"layer": layer}], hash={})

    def moved():
        reader.poll()
        rows = [json.loads(row) for row in reader.rows["status"]]
        return {row["lane"]: set(row["moved"]) for row in rows if "moved" in row}

    before = moved()
    store.append(run, [edited(LANES[0], 2, 17), measured(LANES[0], 2, 6, 50)])
    assert moved() == before | {LANES[0]: before[LANES[0]] | {17}}
    store.append(run, [edited(LANES[0], 3, 18), measured(LANES[0], 3, 6, 50)])
    again = started(3, 150, (*LANES, "branch"))
    again.lanes[-1]["from"] = {"lane": LANES[0], "round": 2}
    store.append(run, [again, edited("branch", 3, 19), measured("branch", 3, 6, 50)])
    assert moved()["branch"] == before[LANES[0]] | {17, 19}
    store.append(run, [Undone(to=1)], status="paused", message="Rounds are undone.")
    assert moved()[LANES[0]] == before[LANES[0]]


def test_undone_rounds_are_taken_back_from_the_page(store):
    run = record(store, rounds=6)
    reader = Reader(store, run)
    first = reader.poll()
    store.append(run, [Undone(to=4)], status="paused", message="Rounds 5 to 6 are undone.")
    feeds = reader.poll()
    assert set(feeds) == set(FEEDS)
    assert {value["feed"] for value in feeds.values()}.isdisjoint(value["feed"] for value in first.values())
    rows = [json.loads(row) for row in feeds["scores"]["rows"].values()]
    assert [row.get("round") for row in rows if row.get("lane") == LANES[0]] == [0, 1, 2, 3, 4]
    assert rows[0]["start"]
    assert feeds["status"]["state"]["message"] == "Rounds 5 to 6 are undone."
    assert not reader.poll()
    store.append(run, [measured(LANES[0], 5, 6, 50)])
    assert {value["feed"] for value in reader.poll().values()} == {feeds["scores"]["feed"]}
    assert Reader(store, run).poll()["scores"]["rows"] == reader.value("scores", 0)["rows"]  # another page


def test_a_round_costs_little(store):
    run = record(store, rounds=6)
    feeds = Reader(store, run).poll()
    size = sum(len(row) for value in feeds.values() for row in value["rows"].values() if '"start"' not in row[:20])
    assert size / 7 < 17_500  # characters a round of two lanes, all panels and the map together; a third on the wire


def test_what_the_page_says_of_a_run(store):
    run = record(store, rounds=6, until=2)
    store.beat(0, "")  # how a worker signs off
    state = Reader(store, run).poll()["status"]["state"]
    assert state["status"] == "running"
    assert state["phase"] == "optimising values, step 12 of 50"
    assert state["left"] == "2 min"
    assert state["notice"] == "The worker stopped. A new one continues from the last round."
    assert state["warnings"][0]["message"] == "LS of layer 5 fell under .5"
    store.beat(1, "editing", run)
    assert "notice" not in Reader(store, run).poll()["status"]["state"]
    store.append(run, [Finished(status="failed")], status="failed", message="no room")
    assert Reader(store, run).poll()["status"]["state"]["message"] == "no room"


def test_a_worker_that_cannot_start_says_why(store):
    run = store.create_run({"model": "pocket", "facts": {"source": "pocket", "count": 1}, "lanes": []})
    assert Reader(store, run).poll()["status"]["state"]["notice"] == "The worker is starting."
    state = Reader(store, run, trouble=lambda: "no memory").poll()["status"]["state"]
    assert (state["status"], state["notice"]) == ("queued", "no memory")


def test_a_long_run_is_opened_with_few_snapshots(store):
    run = store.create_run({"model": "pocket", "facts": {"source": "pocket", "count": 1}, "lanes": []})
    rounds = 90
    events = [measured(LANES[0], number, rounds, 10) for number in range(rounds + 1)]
    store.append(run, [started(rounds, rounds * 10, LANES[:1]), *events])
    feeds = Reader(store, run).poll()
    assert len(feeds["scores"]["rows"]) == rounds + 2
    shown = [json.loads(row)["round"] for row in list(feeds["energy"]["rows"].values())[1:]]
    assert len(shown) == SNAPSHOTS
    assert (shown[0], shown[-1]) == (0, rounds)


def test_rounds_that_are_kept():
    events = [{"kind": "measured", "round": n} for n in range(10)]
    assert kept_rounds(events) == set(range(10))
    assert kept_rounds([]) == set()


def test_progress_in_words():
    said = doing({"phase": "tasks", "done": 3, "total": 4, "run_done": 1, "run_total": 8, "eta_seconds": 3700.0})
    assert said["part"] == 0.75
    assert said["whole"] == 0.125
    assert said["left"] == "1 h 2 min"
    assert doing({"phase": "new", "done": 0})["part"] is None


def test_a_run_that_is_not_there_ends_the_stream(store):
    async def all_of(run):
        return [changed async for changed in watch(store, run, str)]

    (changed,) = run_apart(all_of("nowhere"))
    assert changed["status"]["state"]["status"] == "missing"
    assert run_apart(all_of("")) == []


def test_trouble_with_the_store_is_told(store, monkeypatch):
    async def first():
        return await anext(aiter(watch(store, "x", str)))

    def damaged(*_):
        raise UserError("the disk is full")

    monkeypatch.setattr(store, "events", damaged)
    assert run_apart(first())["status"]["state"]["message"] == "the disk is full"
