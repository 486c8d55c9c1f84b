"""SPHERE against its definition by the eigenvectors of a Gram matrix (float64, 1e-9), and its limits."""

import pytest
import torch

from core.editing.guards.sphere import Sphere
from core.editing.lane.state import LaneState
from core.editing.linalg.lowrank import LowRank
from core.editing.rounds.edit_round import edit_round
from tests.editing.algebra import EXACT, eye, random
from tests.editing.common import FACTS, recipe_of, session_of

WEIGHT = random(7, 12, seed=3)
DELTA = LowRank(random(7, 3, seed=4), random(12, 3, seed=5))


def plain(weight: torch.Tensor, delta: torch.Tensor, alpha: float, beta: float) -> torch.Tensor:
    """Row by row, eigenvector by eigenvector."""
    rows = torch.stack([row / row.norm() for row in weight])
    energies, vectors = torch.linalg.eigh(rows.T @ rows / len(rows))
    order = energies.argsort(descending=True)
    shares, held = 0.0, 0
    for index in order:
        shares += float(energies[index] / energies.sum())
        held += shares <= beta
    found = delta.clone()
    for index in order[: held + 1]:
        found -= alpha * torch.outer(delta @ vectors[:, index], vectors[:, index])
    return found


@pytest.mark.parametrize("alpha", [0.3, 0.8, 1.0])
@pytest.mark.parametrize("beta", [0.0, 0.4, 0.8])
@pytest.mark.parametrize("shape", ["wide", "tall"])
def test_it_is_its_definition(alpha, beta, shape):
    weight, delta = (WEIGHT, DELTA) if shape == "wide" else (WEIGHT.T, LowRank(DELTA.right, DELTA.left))
    guard = Sphere(alpha=alpha, beta=beta)
    found = guard.apply(delta, guard.prepare(weight, 0))
    torch.testing.assert_close(found.dense(), plain(weight, delta.dense(), alpha, beta), **EXACT)
    assert found.columns == delta.columns


def test_its_directions_are_orthonormal_and_one_more_than_reach_the_share():
    basis = Sphere(beta=0.5).prepare(WEIGHT, 0)
    torch.testing.assert_close(basis.T @ basis, eye(basis.shape[1]), **EXACT)
    equal = torch.cat([eye(4), torch.zeros(4, 2, dtype=torch.float64)], 1)  # four equal energies
    assert [Sphere(beta=beta).prepare(equal, 0).shape[1] for beta in (0.0, 0.2, 0.25, 0.5, 0.9, 1.0)] == [
        1,
        1,
        2,
        3,
        4,
        4,
    ]


def test_the_length_of_a_row_does_not_matter_and_rows_of_zeros_do_no_harm():
    scaled = WEIGHT * torch.arange(1, 8, dtype=torch.float64)[:, None]
    guard = Sphere()
    found = guard.apply(DELTA, guard.prepare(scaled, 0)).dense()
    torch.testing.assert_close(found, guard.apply(DELTA, guard.prepare(WEIGHT, 0)).dense(), **EXACT)
    padded = torch.cat([WEIGHT, torch.zeros(2, 12, dtype=torch.float64)])
    torch.testing.assert_close(
        guard.apply(LowRank(random(9, 3), DELTA.right), guard.prepare(padded, 0)).right,
        guard.apply(DELTA, guard.prepare(WEIGHT, 0)).right,
        **EXACT,
    )


def test_nothing_taken_is_the_update_and_all_of_it_twice_is_once():
    none, whole = Sphere(alpha=0.0), Sphere(alpha=1.0)
    basis = whole.prepare(WEIGHT, 0)
    assert torch.equal(none.apply(DELTA, basis).right, DELTA.right)
    once = whole.apply(DELTA, basis)
    torch.testing.assert_close(whole.apply(once, basis).dense(), once.dense(), **EXACT)
    assert float((once.dense() @ basis).norm()) < 1e-12


@pytest.mark.parametrize("when", ["after", "within"])
def test_it_looks_at_the_current_weight(lm, when):
    session, (first, last) = session_of(lm), (1, 2)
    guard = {"name": "sphere", "when": when}
    recipe = recipe_of(lm, guard, layers=[first, last])
    state = LaneState.base(lm, recipe.layers)
    state.apply(edit_round(lm, state, FACTS[:2], recipe, session))
    update = edit_round(lm, state, FACTS[2:], recipe, session)
    expected = plain(state.weights[first].double(), update.raw[first].dense().double(), 0.8, 0.5)
    torch.testing.assert_close(update.updates[first].dense().double(), expected, rtol=1e-4, atol=1e-6)
    bare = edit_round(lm, state, FACTS[2:], recipe_of(lm, layers=[first, last]), session)
    same = torch.equal(bare.updates[last].left, update.raw[last].left)
    assert same == (when == "after")  # within a layer the next one makes up for what was taken
    assert torch.equal(bare.updates[first].dense(), update.raw[first].dense())


def test_without_alpha_it_is_the_lane_without_it(lm):
    plain_, none = (
        edit_round(lm, LaneState.base(lm, recipe.layers), FACTS, recipe, session_of(lm))
        for recipe in (recipe_of(lm), recipe_of(lm, {"name": "sphere", "alpha": 0.0}))
    )
    for layer, delta in plain_.updates.items():
        assert torch.equal(none.updates[layer].dense(), delta.dense())
