"""The round that comes next, looked at before it is run: what is computed is what the run computes, and nothing of the
run hears of it."""

import threading
from dataclasses import replace

import pytest
import torch

from core.editing.deltas.ledger import Ledger
from core.runs.opened.pending import FOLDER
from core.runs.store.additions import extended
from core.runs.store.folder import RunFolder
from core.runs.worker.loop import Worker
from tests.runs.at_work import answered, kinds, long, queued, status, until
from tests.runs.test_sandbox import REVIVE

pytestmark = pytest.mark.slow


def weigh(store, run, **payload):
    return answered(store, store.command(run, "sandbox", {"round": "next", **payload}))


def held(store, run):
    """A run that is paused wherever it was in its rounds, the first of which is over."""
    until(lambda: len(kinds(store, run, "edited")) >= 3, "two rounds of one lane")
    answered(store, store.command(run, "pause"))
    assert store.get(run).status == "paused"


def ledgers(store, run):
    folder = RunFolder(store.get(run).folder)
    return Ledger(folder.path / FOLDER), Ledger(folder.ledger)


def hashes(store, run):
    return [(event["lane"], event["round"], event["hash"]) for event in kinds(store, run, "edited")]


def same(one, other):
    """Whether two rounds hold the same bits: factors, raw factors, keys and values."""
    for name in ("updates", "raw", "corrections"):
        left, right = getattr(one, name), getattr(other, name)
        assert set(left) == set(right)
        for layer in left:
            assert torch.equal(left[layer].left, right[layer].left)
            assert torch.equal(left[layer].right, right[layer].right)
    assert all(torch.equal(one.keys[layer], other.keys[layer]) for layer in one.updates)
    assert torch.equal(one.start, other.start)
    assert torch.equal(one.target, other.target)


def test_the_next_round_of_a_paused_run_is_what_it_computes_then(store, make_spec):
    quiet, run = queued(store, long(make_spec)), queued(store, long(make_spec))
    held(store, run)
    folder = store.get(run).folder
    before = len(store.events(run)), sorted((folder / "ledger").rglob("*"))
    found = {lane: weigh(store, run, lane=lane, guard=REVIVE).answer for lane in ("plain", "guarded")}
    assert all(answer["pending"] for answer in found.values())
    assert (len(store.events(run)), sorted((folder / "ledger").rglob("*"))) == before
    assert store.get(run).status == "paused"
    ahead, ledger = ledgers(store, run)
    computed = {lane: ahead.read(lane, answer["round"]) for lane, answer in found.items()}
    answered(store, store.command(run, "resume"))
    status(store, run, "done")
    assert hashes(store, run) == hashes(store, quiet)  # nor did the run that nobody asked anything compute others
    for lane, answer in found.items():
        same(computed[lane], ledger.read(lane, answer["round"]))
        ran = answered(store, store.command(run, "sandbox", {"lane": lane, "round": answer["round"], "guard": REVIVE}))
        differing = {key for key in answer if answer[key] != ran.answer[key]}
        assert differing <= {"pending", "seconds"}
        assert not ran.answer["pending"]


def test_a_run_that_was_stopped_is_asked_and_the_answer_is_kept(store, make_spec):
    run = queued(store, long(make_spec))
    until(lambda: kinds(store, run, "edited"), "an edit")
    answered(store, store.command(run, "stop"))
    until(lambda: store.get(run).status == "stopped", "the stop")
    first = weigh(store, run, lane="guarded", guard=None).answer
    ahead, ledger = ledgers(store, run)
    file = ahead.path("guarded", first["round"])
    made = file.stat().st_mtime_ns
    again = weigh(store, run, lane="guarded", guard={"name": "shrink", "factor": 0.5}).answer
    assert file.stat().st_mtime_ns == made
    assert again["removed"] == pytest.approx(0.75)
    assert first["facts"][0]["fact"] == first["round"] - 1  # a fact a round
    answered(store, store.command(run, "step"))
    status(store, run, "paused")
    following = weigh(store, run, lane="guarded", guard=None).answer
    assert following["round"] == first["round"] + 1
    assert ahead.rounds("guarded") == [following["round"]]  # one of each lane is kept
    same(ahead.read("guarded", following["round"]), resumed(store, run, ledger, "guarded", following["round"]))


def resumed(store, run, ledger, lane, number):
    answered(store, store.command(run, "resume"))
    status(store, run, "done")
    return ledger.read(lane, number)


def test_a_lane_added_there_goes_on_with_the_guard(store, make_spec):
    """Its first round is what was predicted: the lane's own update of one layer, under the guard."""
    lane = {**make_spec()["lanes"][0], "layers": [2]}
    run = queued(store, long(make_spec, lanes=[lane]))
    held(store, run)
    found = weigh(store, run, lane="plain", guard=REVIVE).answer
    number = found["round"]
    branch = {**lane, "name": "kept", "guards": [REVIVE], "from": {"lane": "plain", "round": number - 1}}
    assert extended(store.get(run).spec, [branch]).labels() == ["plain", "kept"]
    assert answered(store, store.command(run, "add_lanes", {"lanes": [branch]})).state == "done"
    status(store, run, "done")
    edit = next(e for e in kinds(store, run, "edited") if (e["lane"], e["round"]) == ("kept", number))
    assert edit["layers"][0]["removed_share"] == pytest.approx(found["removed"], abs=1e-5)
    said = answered(store, store.command(run, "sandbox", {"lane": "kept", "round": number, "guard": None})).answer
    for one, other in zip(found["facts"], said["facts"], strict=True):
        assert one["predicted"][0] == pytest.approx(other["given"][0], abs=2e-4)


def test_where_no_round_comes_next_that_is_said(store, make_spec):
    run = queued(store, long(make_spec))
    until(lambda: kinds(store, run, "edited"), "an edit")
    told = weigh(store, run, lane="plain", guard=None)
    assert (told.state, told.answer["message"]) == (
        "failed",
        "the run goes on; pause it, then ask about the round that comes next",
    )
    answered(store, store.command(run, "pause"))
    assert "no lane" in weigh(store, run, lane="nobody", guard=None).answer["message"]
    answered(store, store.command(run, "resume"))
    status(store, run, "done")
    assert "has edited all its rounds, 1 to 6" in weigh(store, run, lane="plain", guard=None).answer["message"]


def test_what_the_run_is_told_meanwhile_comes_first(tmp_path, make_spec, monkeypatch):
    """A round that takes long is given up when somebody resumes the run, or stops waiting for it."""
    worker = Worker(tmp_path, preload=False)
    store, seen = worker.store, []
    run = queued(store, long(make_spec))
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        held(store, run)
        lane = {**make_spec()["lanes"][0], "stop_loss": 0, "name": "slow"}
        slowly(monkeypatch, lane, seen)
        asked = store.command(run, "sandbox", {"round": "next", "lane": "plain", "guard": None})
        until(lambda: (store.commands.get(asked).progress or {}).get("done", 0) > 1, "steps for the values")
        assert "for the values" in store.commands.get(asked).progress["message"]
        assert store.commands.withdraw(asked)
        other = store.command(run, "sandbox", {"round": "next", "lane": "plain", "guard": None})
        until(lambda: store.commands.get(other).progress, "another try")
        assert store.commands.get(asked).answer["withdrawn"]
        answered(store, store.command(run, "stop"))
        assert "has received another command" in answered(store, other).answer["message"]
        assert not ledgers(store, run)[0].rounds("plain")
    finally:
        worker.leave()
        thread.join()


def slowly(monkeypatch, lane, seen):
    """From now on lanes are edited by this one's recipe, which never comes to its end."""
    from core.runs.opened import pending

    whole = pending.recipe_of_lane

    def endless(entry, info):
        seen.append(entry)
        recipe = whole(lane, info)
        return replace(recipe, method=replace(recipe.method, steps=10**6))  # more than a spec may ask for

    monkeypatch.setattr(pending, "recipe_of_lane", endless)
