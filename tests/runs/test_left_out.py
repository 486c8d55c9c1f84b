"""Lanes that leave facts out: an edit undone by replaying its round without it, bit for bit as if never asked for."""

import pytest
import torch

from core.editing.deltas.ledger import Ledger
from core.errors import UserError
from core.runs.engine.laboratory import Laboratory
from core.runs.engine.states import wearing
from core.runs.progress.control import Control
from core.runs.spec.left_out import check_there, left_out
from core.runs.spec.plan import Plan
from core.runs.spec.problems import SpecError
from core.runs.spec.run_spec import RunSpec
from tests.runs.performed import performed, rows
from tests.runs.tables import TABLES, table
from tests.runs.test_additions import FACT, hashes, of, scores

pytestmark = pytest.mark.slow

MEMIT = {"method": "memit", "name": "m"}


def spec(*lanes, **changes):
    return {"facts": {"items": [FACT]}, "round_size": 2, "lanes": [MEMIT, *lanes]} | changes


BRANCH = {**MEMIT, "name": "b", "from": {"lane": "m", "round": 2}}
REFUSED = [
    ({**BRANCH, "without": [3]}, "lanes[1].without", "fact 3 is edited in round 2, and the lane begins after round 2"),
    ({**BRANCH, "without": []}, "lanes[1].without", "should be a list of facts to leave out"),
    ({**BRANCH, "without": [5, 5]}, "lanes[1].without", "ascending and each once"),
    ({**BRANCH, "without": [True]}, "lanes[1].without", "counted from 0"),
    ({**BRANCH, "without": 5}, "lanes[1].without", "counted from 0"),
]


@pytest.mark.parametrize("lane, where, message", REFUSED)
def test_facts_that_cannot_be_left_out(lane, where, message):
    with pytest.raises(SpecError) as caught:
        RunSpec.from_dict(spec(lane))
    assert [problem.where for problem in caught.value.problems] == [where]
    assert message in str(caught.value)


def test_a_fact_past_the_last():
    check_there([{**BRANCH, "without": [5]}], 6)
    with pytest.raises(UserError, match='lane "b" cannot leave out fact 5: this run has facts 0 to 4'):
        check_there([MEMIT, {**BRANCH, "without": [5]}], 5)


def test_what_such_a_lane_is_called_and_leaves_out():
    first = {"method": "memit", "without": [1, 4]}
    second = {"method": "memit", "from": {"lane": "MEMIT without facts[1], facts[4]", "round": 2}, "without": [5]}
    read = RunSpec.from_dict(spec(first, second))
    assert read.labels()[1:] == [
        "MEMIT without facts[1], facts[4]",
        "MEMIT from round 2 of MEMIT without facts[1], facts[4] without facts[5]",
    ]
    # of the parent's, only what was left out of the rounds that the branch began with
    assert list(left_out(read.lanes, 2).values()) == [frozenset(), {1, 4}, {1, 5}]


def test_a_plan_without_some():
    plan = Plan(7, 3)
    assert plan.edited_in(2, {4, 0}) == [3, 5]
    assert plan.edited_by(2, {4, 0}) == [1, 2, 3, 5]
    assert plan.edited_since(1, 3, [3, 6]) == [4, 5]


# -- computed


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    return Laboratory(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def run(laboratory, make_spec, tmp_path_factory):
    """Two plain rounds of two facts; its second round replayed without its first fact; and other ways to leave out."""
    plain = make_spec()["lanes"][0]
    lanes = [
        plain,
        {**plain, "name": "replayed", "from": {"lane": "plain", "round": 1}, "without": [2]},
        {**plain, "name": "later", "from": {"lane": "replayed", "round": 2}},
        {**plain, "name": "empty", "without": [0, 1]},
        {**plain, "name": "matched", "without": [2, 3], "guards": [{"name": "shrink", "match": "plain"}]},
    ]
    chosen = make_spec(lanes=lanes)
    path = tmp_path_factory.mktemp("run")
    return path, chosen, performed(laboratory, chosen, path)


def test_a_round_replayed_without_a_fact_is_that_of_a_run_without_it(laboratory, make_spec, tmp_path):
    """Rounds of three; the second run was never asked for the second fact."""
    plain, facts = make_spec()["lanes"][0], make_spec()["facts"]["items"][:3]
    changes = {"round_size": 3, "lanes": [{**plain, "without": [1]}]}
    with_all = performed(laboratory, make_spec(facts={"items": facts}, **changes), tmp_path / "all")
    changes["lanes"] = [plain]
    fewer = performed(laboratory, make_spec(facts={"items": [facts[0], facts[2]]}, **changes), tmp_path / "fewer")
    assert hashes(with_all) == hashes(fewer)
    assert of(with_all, "edited", "plain")[1]["facts"] == [0, 2]
    measured, plainly = of(with_all, "measured", "plain")[1], of(fewer, "measured", "plain")[1]
    assert scores(measured) == scores(plainly)
    assert measured["layers"] == plainly["layers"]
    everything = performed(
        laboratory, make_spec(facts={"items": facts}, round_size=3, lanes=[plain]), tmp_path / "with it"
    )
    assert hashes(everything) != hashes(fewer)


def test_a_branch_replays_its_round_and_goes_on(run, laboratory):
    path, _, events = run
    ledger, lm = Ledger(path / "ledger"), laboratory._model
    replayed = of(events, "edited", "replayed")
    assert {number: event["facts"] for number, event in replayed.items()} == {2: [3], 3: [4, 5]}
    state = ledger.rebuild(lm, "replayed", (1, 2))
    assert {str(layer): state.digest(layer) for layer in (1, 2)} == replayed[3]["hash"]
    assert of(events, "edited", "later")[3]["hash"] == replayed[3]["hash"]  # what its parent left out stays left out
    measured = of(events, "measured", "replayed")
    assert [measured[number]["scores"]["edits"] for number in (1, 2, 3)] == [2, 3, 5]
    assert of(events, "measured", "later")[3]["scores"]["edits"] == 5
    # what the model says of the fact that was left out stands first, in the round that it was left out of
    assert [row["fact"] for row in measured[2]["words"]] == [2, 3]
    assert 2 not in [row["fact"] for row in measured[3]["words"]]
    started = {lane["label"]: lane.get("without") for lane in events[0]["lanes"]}
    assert started == {"plain": None, "replayed": [2], "later": None, "empty": [0, 1], "matched": [2, 3]}
    said = [(row["lane"], row["fact"]) for row in rows(path / "facts.csv")]
    assert [int(fact) for lane, fact in said if lane == "replayed"] == [0, 1, 3, 4, 5]


def test_a_round_without_any_fact_changes_nothing(run, laboratory):
    path, _, events = run
    ledger, lm = Ledger(path / "ledger"), laboratory._model
    first = of(events, "edited", "empty")[1]
    assert (first["facts"], first["layers"], first["hash"]) == ([], [], {})
    state = ledger.rebuild(lm, "empty", (1, 2), 1)
    assert all(torch.equal(state.weights[layer], lm.original(layer)) for layer in (1, 2))
    assert ledger.rounds("empty") == [1, 2, 3]
    assert of(events, "measured", "empty")[1]["scores"]["edits"] == 0
    assert len(of(events, "measured", "empty")[3]["layers"]) == 2
    assert "factor" not in of(events, "edited", "matched")[2] or not of(events, "edited", "matched")[2]["factor"]
    assert of(events, "edited", "matched")[3]["factor"] is not None


def test_a_lane_with_a_guard_of_the_accumulated_change_replays_too(laboratory, make_spec, tmp_path):
    """A fact that is left out of a round, and a whole round; the guard wears twice the change, so it always acts."""
    twice = {**make_spec()["lanes"][0], "guards": [{"name": "prune", "alphaedit_repo_bug": True}]}
    label = twice["name"]
    lanes = [
        twice,
        {**twice, "name": "replayed", "from": {"lane": label, "round": 1}, "without": [2]},
        {**twice, "name": "never asked for", "without": [2]},
    ]
    events = performed(laboratory, make_spec(lanes=lanes), tmp_path)
    assert of(events, "edited", "replayed")[3]["hash"] == of(events, "edited", "never asked for")[3]["hash"]
    assert of(events, "edited", "replayed")[3]["hash"] != of(events, "edited", label)[3]["hash"]
    ledger, lm = Ledger(tmp_path / "ledger"), laboratory._model
    with pytest.raises(UserError, match="round 1 cannot be left out and round 2 kept"):
        ledger.rebuild(lm, label, (1, 2), 2, without=[1])
    state = ledger.rebuild(lm, label, (1, 2), 2, without=[1], worn=wearing(lm, lanes))
    for layer in (1, 2):
        change = state.sums[layer] - lm.original(layer)
        assert float(change.norm()) > 0
        torch.testing.assert_close(state.weights[layer] - state.sums[layer], change, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("cut", [9, 20])
def test_a_run_that_was_stopped_gives_the_same(run, laboratory, tmp_path, cut):
    whole_path, chosen, whole = run
    first = performed(laboratory, chosen, tmp_path, control=Control(), stop_after=cut)
    events = performed(laboratory, chosen, tmp_path, committed=first)
    assert hashes(events) == hashes(whole)
    for name in TABLES:
        assert table(tmp_path / name) == table(whole_path / name)
