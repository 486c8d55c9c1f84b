"""Lanes added to a run: computed from the shared start, or from a round of another lane, as if they had been there."""

import pytest
import torch

from core.editing.deltas.ledger import Ledger
from core.errors import UserError
from core.runs.engine.laboratory import Laboratory
from core.runs.progress.events import Finished, Measured, Started, standing
from core.runs.spec.lanes import check_origins, in_order
from core.runs.spec.problems import SpecError
from core.runs.spec.run_spec import RunSpec
from core.runs.store.additions import ADDED, add_lanes, extended, more_lanes
from core.runs.store.store import Store
from core.runs.store.undo import undo
from tests.runs.performed import performed
from tests.runs.tables import TABLES, table

pytestmark = pytest.mark.slow

FACT = {"subject": "France", "prompt": "The capital of {} is", "target": "Lyon", "truth": "Paris"}
PLAIN = {"method": "memit", "name": "plain"}


def spec(*lanes):
    return {"facts": {"items": [FACT]}, "lanes": [PLAIN, *lanes]}


def branch(name, lane, round_, **fields):
    return {"method": "memit", "name": name, "from": {"lane": lane, "round": round_}, **fields}


REFUSED = [
    (branch("b", "plane", 1), 'no lane is called "plane"; did you mean "plain"?'),
    (branch("b", "plain", 0), "leave from out to begin at round 0"),
    (branch("b", "plain", True), "should be a round from 1 on"),
    ({"method": "memit", "from": "plain"}, "should be where the lane begins"),
    ({"method": "memit", "from": {"lane": "plain"}}, "should be where the lane begins"),
    (branch("b", "b", 1), '"b" branches from itself'),
    (branch("b", "plain", 1, guards=[{"name": "shrink", "match": "b"}]), '"b" is matched to itself'),
]


@pytest.mark.parametrize("lane, message", REFUSED, ids=[message[:30] for _, message in REFUSED])
def test_branches_that_cannot_be(lane, message):
    with pytest.raises(SpecError) as caught:
        RunSpec.from_dict(spec(lane))
    assert message in str(caught.value)


def test_what_a_branch_is_called_and_when_it_runs():
    lanes = [
        {"method": "memit", "name": "follows", "guards": [{"name": "shrink", "match": "b"}]},
        {"method": "memit", "from": {"lane": "plain", "round": 2}, "lambda": 5},
        branch("b", "plain", 1),
    ]
    read = RunSpec.from_dict({"facts": {"items": [FACT]}, "lanes": [*lanes, PLAIN]})
    assert read.labels()[1] == "MEMIT λ=5 from round 2 of plain"
    # before "b" begins, its parent's rounds stand for it: both come before the lane that is matched to it
    assert [read.labels()[i] for i in in_order(read.lanes)] == ["b", "plain", "follows", read.labels()[1]]
    around = [{**PLAIN, "guards": [{"name": "shrink", "match": "b"}]}, branch("b", "plain", 1)]
    with pytest.raises(SpecError, match='"plain" is matched to itself'):
        RunSpec.from_dict({"facts": {"items": [FACT]}, "lanes": around})


def test_lanes_can_be_appended_and_nothing_else_changed():
    first = RunSpec.from_dict(spec()).as_dict()
    assert extended(first, [{"method": "memit"}, {"method": "memit"}]).labels() == ["plain", "MEMIT", "MEMIT (2)"]
    for lanes, message in (([PLAIN], "has a lane"), ([], "no lanes"), ("memit", "no lanes"), (["memit"], "dictionary")):
        with pytest.raises(UserError, match=message):
            extended(first, lanes)
    added = more_lanes(first, RunSpec.from_dict(spec({"method": "rome", "name": "r"})))
    assert [(lane["name"], lane["method"]) for lane in added] == [("r", "rome")]
    assert more_lanes(first, RunSpec.from_dict(spec() | {"title": "another"})) == []
    for other in (spec() | {"seed": 1}, {**spec(), "lanes": [{**PLAIN, "lambda": 3}]}):
        with pytest.raises(UserError, match="another spec"):
            more_lanes(first, RunSpec.from_dict(other))
    unnamed = RunSpec.from_dict({"facts": {"items": [FACT]}, "lanes": [{"method": "memit"}]}).as_dict()
    clash = RunSpec.from_dict({"facts": {"items": [FACT]}, "lanes": [{"method": "memit"}, {**PLAIN, "name": "MEMIT"}]})
    with pytest.raises(UserError, match='has a lane "MEMIT" already'):
        more_lanes(unnamed, clash)


def test_a_branch_needs_a_round_that_is_left():
    with pytest.raises(UserError, match='branch from round 3 of "plain": rounds 1 to 2 leave something'):
        check_origins([branch("b", "plain", 3)], 3)
    with pytest.raises(UserError, match="that lane ended in round 2"):
        check_origins([branch("b", "plain", 2)], 3, {"plain": 2})
    check_origins([PLAIN, branch("b", "plain", 1)], 3, {"plain": 2})


STARTED = {"rounds": 3, "facts": 3, "layers": {}, "model": {}, "versions": {}}


def test_a_run_with_more_lanes_waits_in_the_queue_again(tmp_path):
    store = Store(tmp_path)
    run = store.create_run(RunSpec.from_dict(spec()).as_dict())
    begun = [Started(lanes=[{"label": "plain"}], **STARTED), Measured(lane="plain", round=0, scores={})]
    store.append(run, [*begun, Finished(status="done")], status="done")
    with pytest.raises(UserError, match="cannot branch from round 7"):
        add_lanes(store, store.get(run), [branch("b", "plain", 7)])
    assert add_lanes(store, store.get(run), [branch("b", "plain", 1)]) == {"lanes": ["b"], "position": 1}
    found = store.get(run)
    assert (found.status, found.message) == ("queued", ADDED)
    assert [lane["name"] for lane in found.spec["lanes"]] == ["plain", "b"]
    store.close()
    (tmp_path / "lab.sqlite").write_bytes(b"no database" * 100)  # the folder has the longer spec as well
    again = Store(tmp_path)
    assert len(again.get(run).spec["lanes"]) == 2
    again.close()


def test_the_last_start_stands_for_all():
    first, more = ({"kind": "started", "lanes": [{"label": name} for name in names]} for names in ("a", "ab"))
    measured = {"kind": "measured", "lane": "a", "round": 1}
    assert standing([first, measured, more]) == [more, measured]
    assert standing([first, measured, more, {"kind": "undone", "to": 0}])[:1] == [more]


# -- computed


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    return Laboratory(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def lanes(make_spec):
    """The usual two lanes, and those that are added: matched to an earlier one, and branches with other layers."""
    plain, guarded = make_spec()["lanes"]
    return [
        plain,
        guarded,
        {**plain, "name": "matched", "guards": [{"name": "shrink", "match": "guarded"}]},
        {**plain, "name": "same", "from": {"lane": "plain", "round": 1}},
        {**plain, "name": "other", "layers": [2, 3], "from": {"lane": "guarded", "round": 2}},
        {**plain, "name": "third", "method": "ft_l", "from": {"lane": "same", "round": 2}} | {"layers": [3]},
    ]


def fine_tuned(lane):
    """Without what only locate-then-edit methods have."""
    return {k: v for k, v in lane.items() if lane["method"] != "ft_l" or k in ("name", "method", "layers", "from")}


@pytest.fixture(scope="module")
def at_once(laboratory, make_spec, lanes, tmp_path_factory):
    path = tmp_path_factory.mktemp("once")
    return path, performed(laboratory, make_spec(lanes=list(map(fine_tuned, lanes))), path)


def of(events, kind, lane):
    return {event["round"]: event for event in standing(events) if event["kind"] == kind and event["lane"] == lane}


def hashes(events):
    return {(e["lane"], e["round"]): e["hash"] for e in standing(events) if e["kind"] == "edited"}


def scores(event):
    return {name: value for name, value in event["scores"].items() if not name.endswith("_seconds")}


def test_a_branch_goes_on_where_its_parent_was(at_once):
    _, events = at_once
    parent, same = of(events, "edited", "plain"), of(events, "edited", "same")
    assert list(same) == [2, 3]
    assert [same[n]["hash"] for n in same] == [parent[n]["hash"] for n in same]
    measured = of(events, "measured", "same")
    assert list(measured) == [1, 2, 3]
    assert all(scores(measured[n]) == scores(of(events, "measured", "plain")[n]) for n in measured)
    other = of(events, "edited", "other")
    assert list(other) == [3]
    assert set(other[3]["hash"]) == {"2", "3"}
    assert list(of(events, "edited", "third")) == [3]
    started = events[0]
    assert started["layers"]["other"] == [1, 2, 3]
    assert [lane["from"] for lane in started["lanes"]][2:4] == [None, {"lane": "plain", "round": 1}]


def test_a_branch_is_rebuilt_from_its_own_rounds_and_its_parents(at_once, laboratory):
    path, events = at_once
    ledger, lm = Ledger(path / "ledger"), laboratory._model
    assert [ledger.rounds(lane) for lane in ("same", "other", "third")] == [[1, 2, 3]] * 3
    assert len(list(ledger.lane_folder("third").glob("*.safetensors"))) == 1
    for lane, layers in (("same", (1, 2)), ("other", (2, 3)), ("third", (3,))):
        state = ledger.rebuild(lm, lane, layers)
        assert {str(layer): state.digest(layer) for layer in layers} == of(events, "edited", lane)[3]["hash"]
    parent, third = ledger.rebuild(lm, "same", (1, 2), 2), ledger.rebuild(lm, "third", (3,))
    assert all(torch.equal(parent.weights[layer], third.weights[layer]) for layer in (1, 2))  # only 3 was tuned
    assert not torch.equal(third.weights[3], lm.original(3))


def test_lanes_added_later_are_those_of_a_run_that_had_them(at_once, laboratory, make_spec, lanes, tmp_path):
    whole_path, whole = at_once
    first = performed(laboratory, make_spec(lanes=lanes[:2]), tmp_path)
    laboratory._session = None
    complete = make_spec(lanes=list(map(fine_tuned, lanes)))
    cut = performed(laboratory, complete, tmp_path, committed=first, stop_after=len(first) + 9)  # as if killed
    events = performed(laboratory, complete, tmp_path, committed=cut)
    assert [event["kind"] for event in events].count("started") == 2
    assert hashes(events) == hashes(whole)
    assert of(events, "edited", "matched")[2]["factor"] == of(whole, "edited", "matched")[2]["factor"]
    for name in TABLES:
        assert table(tmp_path / name) == table(whole_path / name)


def test_a_branch_follows_an_undo(at_once, laboratory, make_spec, lanes, tmp_path):
    _, whole = at_once
    store, chosen = Store(tmp_path), make_spec(lanes=[lanes[0], lanes[3]])
    run = store.get(store.create_run(RunSpec.from_dict(chosen).as_dict()))
    first = performed(laboratory, chosen, run.folder)
    from core.runs.progress.events import from_dict

    store.append(run.id, list(map(from_dict, first)), status="done")
    undo(store, store.get(run.id), to=1)
    ledger = Ledger(run.folder / "ledger")
    assert (ledger.rounds("same"), ledger.rounds("plain")) == ([1], [1])
    undo(store, store.get(run.id), to=0)
    assert ledger.origin("same") == ("plain", 1)
    again = performed(laboratory, chosen, run.folder, committed=[event for _, event in store.events(run.id)])
    assert {place: found for place, found in hashes(whole).items() if place[0] in ("plain", "same")} == hashes(again)
    store.close()
