"""NSE: selected inputs, rewound values, passes and bounds."""

from dataclasses import replace

import torch

from core.editing.lane.state import LaneState
from core.editing.methods.memit import Memit
from core.editing.methods.nse import Nse, selected
from core.editing.rounds.edit_round import edit_round
from tests.editing.algebra import D_IN, EARLIER, EXACT, KEYS, MOMENT, RESIDUAL, context
from tests.editing.common import FACTS, recipe_of, session_of, values_of


def test_the_inputs_are_those_with_the_largest_sums():
    keys = torch.tensor([[1.0, -1.0], [0.0, 5.0], [-3.0, 0.0], [0.0, 0.0]])
    assert selected(keys, 0.5).tolist() == [1]
    assert selected(keys, 0.8).tolist() == [1, 2]
    assert selected(keys, 0.99).tolist() == [1, 2]
    assert selected(keys, 0.1).tolist() == [1]  # never none


def test_the_solve_on_selected_inputs():
    found = Nse(lambda_=2.0, neurons=0.6).update(KEYS, RESIDUAL, context(EARLIER)).dense()
    some = selected(KEYS, 0.6)
    assert 1 < len(some) < D_IN
    k, past = KEYS[some], EARLIER[some]
    inner = 2.0 * MOMENT[some][:, some] + past @ past.T + k @ k.T
    expected = torch.zeros_like(found)
    expected[:, some] = RESIDUAL @ k.T @ torch.linalg.inv(inner)
    torch.testing.assert_close(found, expected, **EXACT)


def test_with_every_input_it_is_memit():
    expected = Memit(lambda_=2.0, history=True).update(KEYS, RESIDUAL, context(EARLIER))
    found = Nse(lambda_=2.0).update(KEYS, RESIDUAL, context(EARLIER))
    torch.testing.assert_close(found.dense(), expected.dense(), **EXACT)


def test_values_come_from_the_unedited_model(lm):
    session, recipe = session_of(lm), recipe_of(lm, method="nse", steps=6)
    base = LaneState.base(lm, recipe.layers)
    moved = base.copy()
    moved.apply(edit_round(lm, base, FACTS[:1], recipe, session))
    first, later = (edit_round(lm, state, FACTS[1:], recipe, session).values for state in (base, moved))
    assert torch.equal(first.target, later.target)
    assert not torch.equal(values_of(lm, moved, FACTS[1:], recipe, session).target, first.target)


def test_two_passes_and_the_bounds(toy):
    lm = toy("llama", "float64")
    session = session_of(lm)
    recipe = recipe_of(lm, method="nse", lower=0.0, upper=100.0, steps=6, **{"lambda": 5.0})
    state = LaneState.base(lm, recipe.layers)
    rest = []
    for passes in (1, 2):
        tried = replace(recipe, method=replace(recipe.method, passes=passes))
        update = edit_round(lm, state, FACTS, tried, session)
        assert update.updates[2].columns == passes * len(FACTS)
        assert update.keys[2].shape[1] == len(FACTS)
        rest.append(update.residual_after[2])
    assert rest[1] < rest[0]


def test_facts_out_of_bounds_are_left(lm):
    session = session_of(lm)
    state = LaneState.base(lm, (0, 1, 2))
    for bounds in ({"lower": 1e6, "upper": 1e7}, {"lower": 0.0, "upper": 1e-6, "bounds": "absolute"}):
        update = edit_round(lm, state, FACTS, recipe_of(lm, method="nse", **bounds), session)
        assert all(delta.columns == 0 for delta in update.updates.values())
        assert update.keys[0].shape[1] == len(FACTS)
        after = state.copy()
        after.apply(update)
        assert all(torch.equal(after.weights[i], state.weights[i]) for i in (0, 1, 2))


def test_bounds_pick_facts(lm):
    session = session_of(lm)
    recipe = recipe_of(lm, method="nse", bounds="absolute", passes=1)
    state = LaneState.base(lm, recipe.layers)
    sizes = values_of(lm, state, FACTS, recipe, session).delta.norm(dim=0)
    bound = float(sizes.sort().values[1:].mean())  # between the second and the third
    picky = replace(recipe, method=replace(recipe.method, lower=0.0, upper=bound))
    assert edit_round(lm, state, FACTS, picky, session).updates[0].columns == 2
