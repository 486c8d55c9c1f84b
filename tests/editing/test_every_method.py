"""Every method there is with every guard and wrapper there is: a new file in one of the folders joins by itself."""

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch

from core.editing import guards, methods, wrappers
from core.editing.deltas.ledger import Ledger
from core.editing.lane.method import PROMPT, STATES, WEIGHTS, Recipe
from core.editing.lane.results import RoundUpdate
from core.editing.lane.session import model_info
from core.editing.lane.state import LaneState
from core.editing.recipe import defaults, recipe_from_dict
from core.editing.rounds.edit_round import edit_round
from core.editing.rounds.locate_then_edit import LocateThenEdit
from core.editing.settings.defaults import ModelInfo
from core.editing.settings.parameters import parameters
from core.editing.stopwatch import PHASES, SETUP, WAITING
from core.errors import UserError
from core.models.forward import score
from tests.editing.common import FACTS, changing, session_of

USUAL: dict[str, Any] = {
    "layers": [1, 2], "steps": 3, "lr": 0.3, "relative_lr": True, "clamp": 4.0, "weight_decay": 0.001, "contexts": 1,
    "context_length": 4, "lambda": 1.0, "ridge": 0.01, "relative": True, "threshold": 1.0, "beta": 0.1,
}  # fmt: skip
OWN: dict[str, dict[str, Any]] = {
    "ft_l": {"lr": 0.003}, "ft_m": {"lr": 0.003}, "mose_oft": {"lr": 0.003},
    "locft": {"lr": 0.003},
    "ultraedit": {"eta": None, "ridge": None, "step": 1.0},
    "alphaedit": {"threshold": 100.0, "beta": 0.01},
    "lora": {"lr": 0.01}, "adalora": {"lr": 0.01},
    "grace": {"layers": [2], "warm": True, "eps": None},
    "melo": {"eps": None, "lr": 0.05, "per_block": 2},
    "mend": {"lr": 0.001, "taught": 6, "batch": 2, "rank": 4, "edit_lr": 0.001},
    "serac": {"lr": 0.001, "taught": 6, "batch": 2},
    "wise": {"layers": [2], "lr": 0.3, "shard": 2, "merge": 4},
}  # fmt: skip
GUARDS: dict[str, dict[str, Any]] = {"shrink": {"factor": 0.5}, "revive": {"tau": 0.3}, "random": {"tau": 0.3}}
NONE = "none"
MODELS = [
    ModelInfo("pocket", "llama", 8), ModelInfo("gpt2-xl", "gpt2", 48), ModelInfo("EleutherAI/gpt-j-6b", "gptj", 28),
    ModelInfo("meta-llama/Llama-2-7b-hf", "llama", 32), ModelInfo("meta-llama/Meta-Llama-3-8B", "llama", 32),
    ModelInfo("mistralai/Mistral-7B-v0.1", "mistral", 32), ModelInfo("Qwen/Qwen2.5-7B", "qwen2", 28),
    ModelInfo("own", "phi3", 24), ModelInfo("small", "phi3", 2),
]  # fmt: skip


WRITING, LEARNING, WORN = changing(WEIGHTS), changing(WEIGHTS, STATES), changing(STATES, PROMPT)


def recipe_for(lm, method: str, guard: str = NONE, **settings: Any) -> Recipe:
    known = {parameter.name for parameter in parameters(methods.get(method))}
    usual = {name: value for name, value in {**USUAL, **OWN.get(method, {}), **settings}.items() if name in known}
    acting = [] if guard == NONE else [{"name": guard, **GUARDS.get(guard, {})}]
    return recipe_from_dict({"method": method, **usual, "guards": acting}, model_info(lm))


def lived(lm, recipe: Recipe, session, ledger: Ledger | None = None) -> LaneState:
    state = LaneState.base(lm, recipe.layers)
    for number, facts in enumerate((FACTS[:2], FACTS[2:]), 1):
        update = edit_round(lm, state, facts, recipe, session)
        edited = recipe.layers if recipe.changes_weights else ()
        assert set(update.updates) == set(edited)
        assert {"values", "other"} <= set(update.seconds) <= {*PHASES, SETUP, WAITING}
        assert update.values.loss.shape == update.values.loss_start.shape == update.values.steps.shape == (len(facts),)
        for table in (update.removed_share, update.residual_before, update.residual_after):
            assert set(table) == set(edited)
            assert all(torch.isfinite(torch.tensor(list(table.values()))))
        if isinstance(recipe.method, LocateThenEdit):  # what a study of values reads
            assert update.start.shape == update.target.shape == (lm.d_model, len(facts))
        if ledger is not None:
            ledger.append("lane", number, update)
        state.apply(update)
    return state


def equal(one: RoundUpdate, other: RoundUpdate) -> bool:
    """Whether two rounds are the same bit for bit."""
    assert one.updates.keys() == other.updates.keys()
    assert one.memory.keys() == other.memory.keys()
    pairs = [(one.memory[name], other.memory[name]) for name in one.memory]
    for layer, delta in one.updates.items():
        theirs = other.updates[layer]
        pairs += [(delta.left, theirs.left), (delta.right, theirs.right), (one.keys[layer], other.keys[layer])]
    return all(torch.equal(mine, theirs) for mine, theirs in pairs)


def same(one: LaneState, other: LaneState) -> bool:
    assert one.memory.keys() == other.memory.keys()
    assert all(torch.equal(one.memory[name], other.memory[name]) for name in one.memory)
    return all(
        torch.equal(mine[layer], theirs[layer])
        for mine, theirs in ((one.weights, other.weights), (one.history, other.history), (one.sums, other.sums))
        for layer in one.weights
    )


@pytest.mark.parametrize("guard", [NONE, *guards.names()])
@pytest.mark.parametrize("method", WRITING)
def test_rounds_are_finite_and_rebuilt_bit_for_bit(lm, tmp_path, method, guard):
    recipe, ledger = recipe_for(lm, method, guard), Ledger(tmp_path)
    state = lived(lm, recipe, session_of_once(lm), ledger)
    assert all(bool(torch.isfinite(weight).all()) for weight in state.weights.values())
    assert any(not torch.equal(state.weights[layer], lm.original(layer)) for layer in recipe.layers)
    assert same(ledger.rebuild(lm, "lane", recipe.layers), state)


@pytest.mark.parametrize("method", WORN)
def test_a_lane_that_changes_no_weights_is_rebuilt_bit_for_bit_and_has_no_guards(lm, tmp_path, method):
    for guard in guards.names():
        with pytest.raises(UserError, match="changes no weights"):
            recipe_for(lm, method, guard)
    recipe, ledger = recipe_for(lm, method), Ledger(tmp_path)
    state = lived(lm, recipe, session_of_once(lm), ledger)
    assert state.worn.extras
    assert all(torch.equal(weight, lm.original(layer)) for layer, weight in state.weights.items())
    assert same(ledger.rebuild(lm, "lane", recipe.layers), state)
    first = ledger.rebuild(lm, "lane", recipe.layers, upto=1)
    assert len({first.memory_digest(), state.memory_digest()}) == 2
    assert all(torch.equal(state.memory[name], first.memory[name]) for name in first.memory if "facts" in name)


@pytest.mark.parametrize("wrapper", wrappers.names())
@pytest.mark.parametrize("method", methods.names())
def test_a_wrapper_goes_around_a_method_or_says_why_not(lm, tmp_path, method, wrapper):
    known = {parameter.name for parameter in parameters(methods.get(method))}
    usual = {name: value for name, value in {**USUAL, **OWN.get(method, {})}.items() if name in known}
    lane = {"method": method, **usual, "wrapper": wrapper}
    if why := wrappers.get(wrapper).refusal(methods.get(method)):
        with pytest.raises(UserError, match=why):
            recipe_from_dict(lane, model_info(lm))
        return
    recipe, ledger = recipe_from_dict(lane, model_info(lm)), Ledger(tmp_path)
    state = lived(lm, recipe, session_of_once(lm), ledger)
    rebuilt = ledger.rebuild(lm, "lane", recipe.layers)
    assert same(rebuilt, state)
    again = [edit_round(lm, one, FACTS, recipe, session_of(lm)) for one in (state, rebuilt)]
    assert equal(*again)


@cache
def session_of_once(lm):
    """One session for the whole table: what methods keep in it must not depend on who came before."""
    return session_of(lm)


@pytest.mark.parametrize("method", methods.names())
def test_a_lane_that_was_rebuilt_goes_on_to_the_same_bits(lm, tmp_path, method):
    recipe, ledger = recipe_for(lm, method), Ledger(tmp_path)
    live = lived(lm, recipe, session := session_of(lm), ledger)
    fresh = session_of(lm)
    rebuilt = ledger.rebuild(lm, "lane", recipe.layers)
    rounds = [
        edit_round(lm, *given, recipe, here) for *given, here in ((live, FACTS, session), (rebuilt, FACTS, fresh))
    ]
    assert equal(*rounds)


@pytest.mark.parametrize("method", LEARNING)
def test_an_edit_makes_its_targets_likelier(lm, session, method):
    recipe = recipe_for(lm, method, steps=20, contexts=0)
    state = LaneState.base(lm, recipe.layers)
    state.apply(edit_round(lm, state, FACTS, recipe, session))
    losses = []
    for weights in ({}, state.worn):
        with lm.worn(weights):
            losses.append(-float(score(lm, [f.text for f in FACTS], [f.target for f in FACTS]).logprob.mean()))
    assert losses[1] < losses[0] - 0.05


@pytest.mark.parametrize("method", WRITING)
def test_a_matched_factor_is_found_for_every_method(lm, session, method, monkeypatch):
    """The efficacy of the other lane is reached, with efficacy replaced by the size of the change."""
    recipe = recipe_for(lm, method, contexts=0)
    layer, state = recipe.layers[-1], LaneState.base(lm, recipe.layers)
    whole = edit_round(lm, state, FACTS, recipe, session).updates[layer].norm()
    monkeypatch.setattr(
        "core.editing.rounds.matched_shrinkage.exact",
        lambda lm, state, *_: float((state.weights[layer] - lm.original(layer)).norm() / whole),
    )
    matched = recipe_from_dict({**recipe.as_dict(), "guards": [{"name": "shrink", "match": "the other"}]})
    update = edit_round(lm, state, FACTS, replace(matched, label="here"), session, matched=0.4)
    assert update.updates[layer].norm() / whole == pytest.approx(0.4, abs=0.1)


@pytest.mark.parametrize("method", LEARNING)
def test_a_heartbeat_may_wear_other_weights_and_progress_is_told(lm, session, method):
    recipe = recipe_for(lm, method, contexts=0)
    state = LaneState.base(lm, recipe.layers)
    beats, told = [], []

    def beat() -> None:
        beats.append(1)
        with lm.worn({1: lm.original(1) * 9}):
            pass

    quiet = edit_round(lm, state, FACTS, recipe, session)
    beaten = edit_round(lm, state, FACTS, recipe, session, beat, None, lambda *at: told.append(at))
    assert beats
    assert told
    assert all(phase in ("values", "layers") and 1 <= done <= total for phase, done, total in told)
    assert equal(quiet, beaten)


@pytest.mark.parametrize("method", methods.names())
def test_what_suits_a_model_is_valid_and_has_a_reason(method):
    for model in MODELS:
        usual = defaults(model, method)
        assert all(default.reason for default in usual.values())
        recipe = recipe_from_dict({"method": method}, model)
        assert all(0 <= layer < model.n_layers for layer in recipe.layers)
        assert recipe_from_dict(recipe.as_dict(), model) == recipe
        shared = {parameter.name for parameter in parameters(methods.get("memit"))}
        known = {parameter.name for parameter in parameters(methods.get(method))}
        assert not set(usual) - known - shared, "a setting that the method does not have"
