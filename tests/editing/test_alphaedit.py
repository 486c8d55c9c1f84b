"""AlphaEdit: its forms agree, its threshold, and which keys it protects."""

import pytest
import torch

from core.editing.failure import EditFailure
from core.editing.lane.state import LaneState
from core.editing.methods.alphaedit import AlphaEdit
from core.editing.recipe import recipe_from_dict
from core.editing.rounds.edit_round import edit_round
from core.editing.settings.defaults import ModelInfo
from tests.editing.algebra import D_IN, EARLIER, EXACT, KEYS, MOMENT, RESIDUAL, context, eye, random
from tests.editing.common import FACTS, keys, recipe_of, session_of

VALUES, VECTORS = torch.linalg.eigh(MOMENT)
THRESHOLD = float(VALUES[9] + VALUES[10]) / 2
Q = VECTORS[:, :10]
P = Q @ Q.T


@pytest.mark.parametrize("beta", [1.0, 10.0])
def test_the_published_system_its_q_form_and_its_woodbury_form_are_one(beta):
    found = AlphaEdit(threshold=THRESHOLD, beta=beta).update(KEYS, RESIDUAL, context(EARLIER)).dense()
    everything = KEYS @ KEYS.T + EARLIER @ EARLIER.T
    published = torch.linalg.solve(P @ everything + beta * eye(D_IN), P @ KEYS @ RESIDUAL.T).T
    torch.testing.assert_close(found, published, **EXACT)
    k, past = Q.T @ KEYS, Q.T @ EARLIER
    reduced = RESIDUAL @ k.T @ torch.linalg.inv(k @ k.T + past @ past.T + beta * eye(10)) @ Q.T
    torch.testing.assert_close(found, reduced, **EXACT)
    both = torch.cat([EARLIER, KEYS], 1)
    inner = torch.linalg.inv(beta * eye(both.shape[1]) + both.T @ P @ both)
    woodbury = RESIDUAL @ (KEYS.T @ P - KEYS.T @ P @ both @ inner @ both.T @ P) / beta
    torch.testing.assert_close(found, woodbury, **EXACT)
    torch.testing.assert_close(found @ P, found, **EXACT)


@pytest.mark.parametrize("n", [3, D_IN - 1, D_IN, 30, 200])
def test_the_smaller_system_gives_what_the_larger_one_does(n):
    """With fewer earlier keys than inputs the system has a row per key, then one per input."""
    past = random(D_IN, n, seed=n)
    found = AlphaEdit(threshold=THRESHOLD, beta=2.0).update(KEYS, RESIDUAL, context(past)).right
    everything = P @ (past @ past.T + KEYS @ KEYS.T) @ P + 2.0 * eye(D_IN)
    torch.testing.assert_close(found, torch.linalg.inv(everything) @ P @ KEYS, **EXACT)


def test_the_relative_threshold_does_not_depend_on_the_size_of_activations():
    relative = THRESHOLD / float(MOMENT.diagonal().mean())
    for scale in (1.0, 100.0):
        here = context(moment=scale * MOMENT)
        AlphaEdit(threshold=relative, relative=True).update(KEYS, RESIDUAL, here)
        assert here.notes == [f"Layer 3: 10 of {D_IN} input directions may change."]
    with pytest.raises(EditFailure):
        AlphaEdit(threshold=THRESHOLD).update(KEYS, RESIDUAL, context(moment=1e6 * MOMENT))


def test_an_empty_null_space_is_told():
    with pytest.raises(EditFailure, match='Layer 3.*"threshold".*"relative"'):
        AlphaEdit(threshold=1e-9).update(KEYS, RESIDUAL, context())


def test_history_can_be_left_out():
    off = AlphaEdit(threshold=THRESHOLD, history=False)
    torch.testing.assert_close(
        off.update(KEYS, RESIDUAL, context(EARLIER)).dense(), off.update(KEYS, RESIDUAL, context()).dense(), **EXACT
    )


def test_the_keys_of_an_edit_are_those_of_the_edited_model(toy):
    lm = toy("llama", "float64")
    session = session_of(lm)
    recipe = recipe_of(lm, method="alphaedit", threshold=1.0, relative=True, beta=0.1)
    state = LaneState.base(lm, recipe.layers)
    update = edit_round(lm, state, FACTS, recipe, session)
    state.apply(update)
    contexts = session.contexts(recipe.method)
    with lm.worn(state.weights):
        for layer in recipe.layers:
            torch.testing.assert_close(update.keys[layer], keys(lm, FACTS, layer, contexts), **EXACT)
    with lm.worn({}):
        assert not torch.allclose(update.keys[2], keys(lm, FACTS, 2, contexts), rtol=1e-6)


@pytest.mark.parametrize("beta, inert", [(10, True), (1, True), (0.3, False), (None, False)])
def test_a_published_beta_does_nothing_on_the_embedded_model(beta, inert):
    pocket, other = ModelInfo("pocket", "llama", 8), ModelInfo("own", "llama", 32)
    assert not recipe_from_dict({"method": "alphaedit"}, pocket).cautions
    said = recipe_from_dict({"method": "alphaedit", "beta": beta}, pocket).cautions
    assert [f"β = {beta:g} edits little or nothing" in one for one in said] == ([True] if inert else [])
    assert not recipe_from_dict({"method": "alphaedit", "beta": beta}, other).cautions
