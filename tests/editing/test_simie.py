"""SimIE against the ridge regression that it is (relative 1e-8), and its lanes."""

import pytest
import torch

from core.editing.deltas.ledger import Ledger
from core.editing.lane.state import LaneState
from core.editing.linalg.lowrank import LowRank, narrow
from core.editing.recipe import recipe_from_dict
from core.editing.rounds.edit_round import edit_round
from core.editing.settings.defaults import ModelInfo
from core.editing.wrappers._regression import token_keys
from core.models.tokens import answer_ids
from tests.editing.common import FACTS, recipe_of, session_of

ROUNDS = (FACTS[:1], FACTS[1:], FACTS[:2])


def lived(lm, recipe, session, ledger: Ledger | None = None) -> tuple[LaneState, list]:
    state, updates = LaneState.base(lm, recipe.layers), []
    for number, facts in enumerate(ROUNDS, 1):
        updates.append(edit_round(lm, state, facts, recipe, session))
        if ledger is not None:
            ledger.append("lane", number, updates[-1])
        state.apply(updates[-1])
    return state, updates


@pytest.mark.parametrize("lambda_", [0.1, 10.0])
def test_from_the_unedited_model_it_is_ridge_regression(toy, lambda_):
    """W_T = W_0 + Σ (Ŵ_i − W_0) K_i K_iᵀ (λI + Σ K_i K_iᵀ)⁻¹, with Ŵ_i from W_0."""
    lm = toy("llama", "float64")
    session = session_of(lm)
    recipe = recipe_of(lm, wrapper={"name": "simie", "lambda": lambda_}, steps=6)
    state, updates = lived(lm, recipe, session)
    single, base = recipe_of(lm, steps=6), LaneState.base(lm, recipe.layers)
    alone = [edit_round(lm, base, facts, single, session).updates for facts in ROUNDS]
    for layer in recipe.layers:
        moved = torch.zeros_like(lm.original(layer))
        seen = lambda_ * torch.eye(lm.d_ffn, dtype=torch.float64)
        for facts, deltas in zip(ROUNDS, alone, strict=True):
            keys = token_keys(lm, facts, [layer], {})[layer]
            moved += deltas[layer].dense() @ keys @ keys.T
            seen += keys @ keys.T
        expected = lm.original(layer) + moved @ torch.linalg.inv(seen)
        torch.testing.assert_close(state.weights[layer], expected, rtol=1e-8, atol=1e-9)
        assert state.history[layer].shape[1] == sum(update.keys[layer].shape[1] for update in updates)


def test_from_the_current_model_each_round_is_the_rule(toy):
    lm = toy("llama", "float64")
    session = session_of(lm)
    recipe = recipe_of(lm, wrapper={"name": "simie", "lambda": 2.0, "initial": False}, steps=6)
    state = LaneState.base(lm, recipe.layers)
    state.apply(edit_round(lm, state, FACTS[:1], recipe, session))
    plain = LaneState(dict(state.weights), {i: h[:, :0] for i, h in state.history.items()}, dict(state.sums))
    hat = edit_round(lm, plain, FACTS[1:], recipe_of(lm, steps=6), session)
    found = edit_round(lm, state, FACTS[1:], recipe, session)
    keys = token_keys(lm, FACTS[1:], [1], state.sums)[1]
    seen = state.history[1] @ state.history[1].T + keys @ keys.T + 2.0 * torch.eye(lm.d_ffn, dtype=torch.float64)
    expected = hat.updates[1].dense() @ keys @ keys.T @ torch.linalg.inv(seen)
    torch.testing.assert_close(found.updates[1].dense(), expected, rtol=1e-8, atol=1e-9)


def test_keys_are_those_of_all_tokens(toy):
    lm = toy("gpt2", "float64")
    found = token_keys(lm, FACTS, [0, 2], {})
    lengths = [len(lm.encode(f.text)) + len(answer_ids(lm.tokenizer, f.text, f.target)) for f in FACTS]
    assert found[2].shape == (lm.d_ffn, sum(lengths))
    alone = token_keys(lm, FACTS[1:2], [2], {})[2]
    torch.testing.assert_close(found[2][:, lengths[0] : lengths[0] + lengths[1]], alone, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("method", ["memit", "mose"])
def test_any_method_is_wrapped_and_replayed(lm, tmp_path, method):
    settings = {"method": method, "wrapper": "simie", "steps": 6}
    recipe, ledger = recipe_of(lm, {"name": "revive", "tau": 0.3}, **settings), Ledger(tmp_path)
    state, updates = lived(lm, recipe, session_of(lm), ledger)
    rebuilt = ledger.rebuild(lm, "lane", recipe.layers)
    for layer in recipe.layers:
        assert torch.equal(rebuilt.weights[layer], state.weights[layer])
        assert torch.equal(rebuilt.history[layer], state.history[layer])
    assert all(0 < share < 1 for share in updates[-1].removed_share.values())
    again = [edit_round(lm, s, FACTS, recipe, session_of(lm)).updates for s in (state, rebuilt)]
    assert all(torch.equal(again[0][layer].right, again[1][layer].right) for layer in again[0])


def test_lanes_name_their_wrapper():
    recipe = recipe_from_dict({"method": "memit", "wrapper": "simie", "prior": "lowrank"})
    assert (recipe.label, recipe.wrapper.lambda_, recipe.editor) == ("MEMIT-F in SimIE", 10.0, recipe.wrapper)
    assert recipe_from_dict(recipe.as_dict()) == recipe
    pocket = ModelInfo("pocket", "llama", 8)
    assert recipe_from_dict({"method": "memit", "wrapper": "simie"}, pocket).wrapper.lambda_ == 0.01
    own = {"name": "simie", "lambda": 3.0}
    assert recipe_from_dict({"method": "memit", "wrapper": own}, pocket).wrapper.lambda_ == 3.0
    plain = recipe_from_dict({"method": "memit"})
    assert (plain.wrapper, plain.editor, plain.as_dict()["wrapper"]) == (None, plain.method, None)


def test_wide_factors_are_narrowed():
    few, many = LowRank(torch.ones(3, 2), torch.ones(5, 2)), LowRank(torch.ones(3, 7), torch.ones(5, 7))
    assert narrow(few) is few
    assert narrow(many).columns == 3
    torch.testing.assert_close(narrow(many).dense(), many.dense())
