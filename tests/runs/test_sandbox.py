"""The guard sandbox against runs that were edited under the guards that it is asked about."""

import pytest
import torch

from core.editing.deltas.ledger import Ledger
from core.editing.linalg.lowrank import added
from core.models.forward import score
from core.runs.opened.sandbox import TAUS
from core.runs.store.folder import RunFolder
from tests.runs.at_work import LITTLE, answered, kinds, queued, status
from tests.runs.conftest import FACTS, LANE

REVIVE = {"name": "revive", "tau": 0.2}


def ask(store, run, **payload):
    found = answered(store, store.command(run, "sandbox", payload))
    assert found.state == "done", found.answer
    return found.answer


@pytest.fixture(scope="module")
def run(working, make_spec):
    """A run of one edited layer, so that what a guard leaves does not change what the next layer is asked for."""
    lane = {**LANE, "layers": [2]}
    lanes = [
        {**lane, "name": "plain"},
        {**lane, "name": "guarded", "guards": [REVIVE]},
        {**lane, "name": "sparse", "guards": [{"name": "rect", "keep": 0.3}]},
    ]
    made = queued(working.store, make_spec(lanes=lanes, measure=LITTLE))
    status(working.store, made, "done")
    return made


@pytest.fixture(scope="module")
def store(working):
    return working.store


def test_the_lanes_own_guard_gives_what_was_edited(store, run, working):
    guarded = ask(store, run, lane="guarded", round=3, guard=REVIVE)
    edit = next(e for e in kinds(store, run, "edited") if (e["lane"], e["round"]) == ("guarded", 3))
    share = edit["layers"][0]["removed_share"]
    assert guarded["removed"] == pytest.approx(share, abs=1e-5)
    assert guarded["given"]["removed"] == pytest.approx(share, abs=1e-5)
    assert guarded["given"]["guards"][0]["tau"] == 0.2
    assert [row["fact"] for row in guarded["facts"]] == [4, 5]
    for row in guarded["facts"]:
        assert row["predicted"] == [pytest.approx(row["given"][0], abs=2e-4), row["given"][1]]
    sparse = ask(store, run, lane="sparse", round=1, guard={"name": "rect", "keep": 0.3})
    assert sparse["removed"] == pytest.approx(sparse["given"]["removed"], abs=1e-5)
    assert sparse["scores"]["predicted"]["p"] == pytest.approx(sparse["scores"]["given"]["p"], abs=1e-4)


def test_a_first_round_is_predicted_for_another_lane(store, run):
    """Before any edit both lanes are the same model, so the plain round under REVIVE is the guarded lane's round."""
    predicted = ask(store, run, lane="plain", round=1, guard=REVIVE)
    real = ask(store, run, lane="guarded", round=1, guard=None)
    assert predicted["removed"] == pytest.approx(real["given"]["removed"], abs=1e-4)
    for one, other in zip(predicted["facts"], real["facts"], strict=True):
        assert one["predicted"][0] == pytest.approx(other["given"][0], abs=1e-3)
    assert real["removed"] == 0  # no guard takes nothing
    assert real["curve"] is None


def test_the_scores_are_those_of_the_weights_put_together_by_hand(store, run, working):
    found = ask(store, run, lane="plain", round=2, guard={"name": "shrink", "factor": 0.5})
    lm = working.laboratory._model
    ledger = Ledger(RunFolder(store.get(run).folder).ledger)
    state = ledger.rebuild(lm, "plain", [2], 1)
    half = ledger.read("plain", 2).updates[2].scaled(0.5)
    asked = [(row["subject"] + " was born in", row["target"]) for row in FACTS[2:4]]
    with lm.worn({2: added(state.weights[2], half)}):
        expected = score(lm, *map(list, zip(*asked, strict=True)))
    assert [row["predicted"][0] for row in found["facts"]] == pytest.approx(
        torch.exp(expected.logprob).tolist(), abs=2e-4
    )
    assert found["removed"] == pytest.approx(0.75)
    assert found["curve"]["x"][0] == 0
    assert found["curve"]["removed"] == pytest.approx([1 - x * x for x in found["curve"]["x"]], abs=1e-3)


def test_the_curve_of_tau_passes_through_the_answers(store, run):
    for by in ("energy", "count"):
        for tau in (0.05, 0.3):
            found = ask(store, run, lane="plain", round=2, guard={"name": "revive", "tau": tau, "by": by})
            place = TAUS.index(tau)
            assert found["curve"]["removed"][place] == pytest.approx(found["removed"], abs=1e-4)
            assert found["curve"]["k"]["2"][place] == found["layers"][0]["k"]
            for name, row in found["blocks"].items():
                assert found["curve"]["blocks"][name][place] == pytest.approx(row["raw"], abs=1e-4)
            assert sum(row["left"] for row in found["blocks"].values()) == pytest.approx(1 - found["removed"])
    current = ask(store, run, lane="plain", round=3, guard={"name": "revive", "tau": 0.3, "basis": "current"})
    place = TAUS.index(0.3)
    assert current["curve"]["removed"][place] == pytest.approx(current["removed"], abs=1e-4)
    random = ask(store, run, lane="plain", round=3, guard={"name": "random", "tau": 0.01})
    assert random["curve"]["removed"][0] == pytest.approx(random["removed"], abs=1e-4)


def test_bad_questions_are_answered_in_words(store, run, make_spec):
    for payload, message in (
        ({"lane": "nobody"}, "no lane"),
        ({"round": 9}, "round 9 of plain is not edited yet; rounds 1 to 3"),
        ({"round": 0}, "round 0"),
        ({"guard": "revive"}, "an object with its name"),
        ({"guard": {"name": "revives"}}, "revive"),
        ({"guard": {"name": "revive", "tau": 2}}, "tau"),
        ({"guard": {"name": "prune"}}, "not on one round"),
        ({"guard": {"name": "shrink", "match": "guarded"}}, "solved for while a round is edited"),
    ):
        found = answered(store, store.command(run, "sandbox", payload))
        assert found.state == "failed"
        assert message in found.answer["message"]


def test_asking_changes_nothing(store, run, working):
    lm = working.laboratory._model
    before = store.get(run).status, dict(lm._wearing), torch.get_rng_state()
    memo = len(working.laboratory._session[1].memo)
    for tau in (0.11, 0.12, 0.13):
        ask(store, run, lane="guarded", round=2, guard={"name": "revive", "tau": tau})
    assert (store.get(run).status, dict(lm._wearing)) == before[:2]
    assert torch.equal(torch.get_rng_state(), before[2])
    assert len(working.laboratory._session[1].memo) == memo  # a dragged τ leaves nothing behind
