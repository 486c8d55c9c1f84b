"""A round end to end: spread, guards, history, and the two ways in which weights are stored."""

import pytest
import torch

from core.editing.failure import EditFailure
from core.editing.lane.method import Round
from core.editing.lane.state import LaneState
from core.editing.layer_context import LayerContext
from core.editing.linalg.lowrank import LowRank
from core.editing.rounds.edit_round import edit_round
from core.editing.rounds.matched_shrinkage import exact
from core.editing.rounds.spread import removed, spread
from core.editing.values.keys import Reading, prompts
from core.errors import UserError
from core.models.forward import score
from tests.editing.common import FACTS, SETTINGS, recipe_of, session_of, values_of


def losses(lm, state) -> torch.Tensor:
    with lm.worn(state.weights):
        return -score(lm, [f.text for f in FACTS], [f.target for f in FACTS]).logprob


def edited(lm, recipe, session, rounds=1, **options) -> tuple[LaneState, list]:
    state, updates = LaneState.base(lm, recipe.layers), []
    for _ in range(rounds):
        updates.append(edit_round(lm, state, FACTS, recipe, session, **options))
        state.apply(updates[-1])
    return state, updates


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "gptj", "opt", "qwen2", "mistral"])
def test_an_edit_makes_its_targets_likelier_in_every_architecture(toy, family):
    lm = toy(family)
    session = session_of(lm)
    recipe = recipe_of(lm, steps=30, lr=0.3, relative_lr=True, contexts=0)
    before = losses(lm, LaneState.base(lm, recipe.layers))
    state, (update,) = edited(lm, recipe, session)
    assert float(losses(lm, state).mean()) < float(before.mean()) - 0.1
    assert list(update.updates) == [0, 1, 2]
    shares = [update.residual_before[0], *update.residual_after.values()]
    assert shares[0] == pytest.approx(1, abs=1e-3)
    assert shares == sorted(shares, reverse=True)
    assert set(update.seconds) == {"values", "keys", "solve", "guard", "setup", "other"}
    assert update.removed_share == {0: 0, 1: 0, 2: 0}


def test_the_spread_follows_the_algorithm(toy):
    """Layer by layer: keys of the partly edited model, what is still missing, its share, the update."""
    lm = toy("llama", "float64")
    session, recipe = session_of(lm), recipe_of(lm)
    state = LaneState.base(lm, recipe.layers)
    values = values_of(lm, state, FACTS, recipe, session)
    found = spread(Round(lm, state, FACTS, recipe, session), values)
    rows = prompts(lm, FACTS, session.contexts(recipe.method))
    weights = {layer: lm.original(layer).clone() for layer in (0, 1, 2)}
    for index, layer in enumerate((0, 1, 2)):
        with lm.worn(weights):
            read = Reading(lm, rows).at(layer, 2)
            key, current = read.key, read.value
        prior = session.moment(layer) + 0.01 * session.moment(layer).trace() / lm.d_ffn * torch.eye(
            lm.d_ffn, dtype=torch.float64
        )
        missing = (values.target - current) / (3 - index)
        delta = missing @ key.T @ torch.linalg.inv(prior + key @ key.T)
        torch.testing.assert_close(found.updates[layer].dense(), delta, rtol=1e-7, atol=1e-9)
        weights[layer] += delta
    assert all(torch.equal(w, lm.original(layer)) for layer, w in state.weights.items())


def test_guards_act_in_order_on_what_is_added(lm, session):
    recipe = recipe_of(lm, {"name": "revive", "tau": 0.3}, {"name": "shrink", "factor": 0.5})
    state, updates = edited(lm, recipe, session, rounds=2)
    for layer in recipe.layers:
        change = (state.weights[layer] - lm.original(layer)).double()
        u, sigma, vh = torch.linalg.svd(lm.original(layer).double(), full_matrices=False)
        k = int((sigma.cumsum(0) / sigma.sum() < 0.3).sum()) + 1
        assert float((u[:, :k].T @ change).norm()) < 1e-5 * float(change.norm())
        assert float((change @ vh[:k].T).norm()) < 1e-5 * float(change.norm())
        first = updates[0]
        share = 1 - (first.updates[layer].norm() / first.raw[layer].norm()) ** 2
        assert first.removed_share[layer] == pytest.approx(share, abs=1e-5)
        assert share > 0.75


def test_the_current_basis_is_recomputed(lm, session):
    recipe = recipe_of(lm, {"name": "revive", "tau": 0.3, "basis": "current"})
    state, _ = edited(lm, recipe, session)
    update = edit_round(lm, state, FACTS, recipe, session)
    u, sigma, _ = torch.linalg.svd(state.weights[2].double(), full_matrices=False)
    k = int((sigma.cumsum(0) / sigma.sum() < 0.3).sum()) + 1
    assert float((u[:, :k].T @ update.updates[2].dense().double()).norm()) < 1e-5 * update.updates[2].norm()


def test_the_random_control_has_the_same_rank_as_revive(lm, session):
    ranks = []
    for name in ("revive", "random"):
        recipe = recipe_of(lm, {"name": name, "tau": 0.3})
        _, (update,) = edited(lm, recipe, session)
        ranks.append([update.updates[layer].columns for layer in recipe.layers])
        assert all(0 < share < 1 for share in update.removed_share.values())
    assert ranks[0] == ranks[1]


def test_history_protects_the_keys_of_earlier_rounds(lm):
    session, other = session_of(lm), FACTS[:1]
    moved = []
    for history in (False, True):
        recipe = recipe_of(lm, history=history, **{"lambda": 0.01})
        state = LaneState.base(lm, recipe.layers)
        first = edit_round(lm, state, other, recipe, session)
        state.apply(first)
        assert state.history[2].shape == (lm.d_ffn, 1)
        second = edit_round(lm, state, FACTS[1:], recipe, session)
        moved.append(float((second.updates[0].dense() @ first.keys[0]).norm()))
    assert moved[1] < 0.5 * moved[0]


def test_matched_shrinkage_reaches_the_other_lanes_efficacy(lm, session, monkeypatch):
    """Efficacy is replaced by the size of the change at the last layer, so that every level can be reached."""
    recipe = recipe_of(lm, {"name": "shrink", "match": "the other"})
    state = LaneState.base(lm, recipe.layers)
    whole = edit_round(lm, state, FACTS, recipe_of(lm), session).updates[2].norm()
    monkeypatch.setattr(
        "core.editing.rounds.matched_shrinkage.exact",
        lambda lm, state, *_: float((state.weights[2] - lm.original(2)).norm()) / whole,
    )
    update = edit_round(lm, state, FACTS, recipe, session, matched=0.4)
    assert 0.02 < update.factor < 0.98
    assert update.updates[2].norm() / whole == pytest.approx(0.4, abs=0.05)


def test_matching_needs_the_other_lane_first(lm, session):
    recipe = recipe_of(lm, {"name": "shrink", "match": "the other"})
    assert recipe.match == "the other"
    with pytest.raises(UserError, match='matches "the other"'):
        edit_round(lm, LaneState.base(lm, recipe.layers), FACTS, recipe, session)


def test_efficacy_is_counted(lm):
    assert exact(lm, LaneState.base(lm, [0]), FACTS) in (0, 1 / 3, 2 / 3, 1)


def test_a_heartbeat_between_layers_may_stop_the_round_or_wear_other_weights(lm, session):
    class Stopped(Exception):
        pass

    recipe, calls = recipe_of(lm), []
    quiet = edited(lm, recipe, session)[1][0]

    def beat():
        calls.append(1)
        with lm.worn({0: lm.original(0) * 9}):
            pass

    beaten = edited(lm, recipe, session, heartbeat=beat)[1][0]
    values, layers = 1 + 2 * SETTINGS.get("steps", 25), 3
    assert len(calls) == values + layers + 2 * layers + 1  # each layer, its bare prompts and contexts; the end
    assert all(torch.equal(quiet.updates[i].left, beaten.updates[i].left) for i in (0, 1, 2))

    def stop():
        if len(calls) > 60:
            raise Stopped
        calls.append(1)

    before = [p.clone() for p in lm.model.parameters()]
    while True:
        try:
            edited(lm, recipe, session, heartbeat=stop)
        except Stopped:
            break
    assert all(torch.equal(a, b) for a, b in zip(before, lm.model.parameters(), strict=True))


def test_an_update_that_breaks_names_fact_and_layer(lm, session, monkeypatch):
    recipe = recipe_of(lm)

    def broken(self, keys, residual, context: LayerContext) -> LowRank:
        residual = residual.clone()
        residual[0, 1] = float("inf")
        return LowRank(residual, keys)

    monkeypatch.setattr(type(recipe.method), "update", broken)
    with pytest.raises(EditFailure, match="Ada Marlow was born in Lyon.*layer 0"):
        edited(lm, recipe, session)


def test_a_layer_without_statistics(lm, session):
    with pytest.raises(EditFailure, match="Layer 3 has no statistics"):
        edited(lm, recipe_of(lm, layers=[3]), session)


def test_nothing_removed_from_nothing():
    nothing = LowRank(torch.zeros(2, 1), torch.zeros(3, 1))
    assert removed(nothing, nothing) == 0
