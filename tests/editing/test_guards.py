"""Guards against their definitions, in float64."""

import pytest
import torch

from core.editing import guards
from core.editing.guards.random import Random
from core.editing.guards.revive import Revive
from core.editing.guards.shrink import Shrink
from core.editing.linalg.dominance import Dominance, rank_by_count, rank_by_energy
from core.editing.linalg.lowrank import LowRank
from core.editing.linalg.subspace import svd
from core.errors import UserError

EXACT = {"rtol": 1e-10, "atol": 1e-10}


@pytest.fixture
def weight():
    return torch.randn(7, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def delta():
    generator = torch.Generator().manual_seed(4)
    return LowRank(*(torch.randn(d, 3, dtype=torch.float64, generator=generator) for d in (7, 12)))


@pytest.mark.parametrize("tau", [0.05, 0.3, 0.7])
def test_revive_is_the_double_sum_over_what_is_not_dominant(weight, delta, tau):
    guard = Revive(tau=tau)
    decomposition = svd(weight)
    k = rank_by_energy(decomposition.sigma, tau)
    u, _, vh = torch.linalg.svd(weight, full_matrices=True)  # also the directions that W sends to nothing
    expected = torch.zeros(7, 12, dtype=torch.float64)
    for i in range(k, 7):
        for j in range(k, 12):
            expected += (u[:, i] @ delta.dense() @ vh[j]) * torch.outer(u[:, i], vh[j])
    found = guard.apply(delta, guard.prepare(decomposition, 0))
    torch.testing.assert_close(found.dense(), expected, **EXACT)


def test_revive_keeps_the_dominant_triplets(weight, delta):
    guard = Revive(tau=0.5)
    basis = guard.prepare(svd(weight), 0)
    safe = guard.apply(delta.scaled(5.0), basis).dense()
    zero = torch.zeros(1, dtype=torch.float64)
    torch.testing.assert_close(basis.outputs.T @ safe, zero.expand(basis.outputs.shape[1], 12), **EXACT)
    torch.testing.assert_close(safe @ basis.inputs, zero.expand(7, basis.inputs.shape[1]), **EXACT)
    sigma = torch.linalg.svdvals(weight)[: basis.outputs.shape[1]]
    edited = weight + safe
    torch.testing.assert_close(edited @ basis.inputs, basis.outputs * sigma, **EXACT)
    torch.testing.assert_close(edited.T @ basis.outputs, basis.inputs * sigma, **EXACT)


def test_k_is_the_fewest_that_reach_the_share():
    sigma = torch.tensor([4.0, 3.0, 2.0, 1.0])
    assert [rank_by_energy(sigma, tau) for tau in (0.1, 0.4, 0.41, 0.7, 0.9, 1.0)] == [1, 1, 2, 2, 3, 4]
    assert [rank_by_count(sigma, tau) for tau in (0.01, 0.25, 0.5, 1.0)] == [1, 1, 2, 4]


def test_options_of_revive(weight):
    assert Revive(by="count", tau=0.3).prepare(svd(weight), 0).outputs.shape[1] == 2
    assert Revive(basis="current").needs == "current"


def test_the_random_control_takes_as_much_from_elsewhere(weight, delta):
    guard = Random(tau=0.3, seed=5)
    decomposition = svd(weight)
    basis, like = guard.prepare(decomposition, 2), Dominance(0.3).basis(decomposition)
    assert basis.outputs.shape == like.outputs.shape
    assert basis.inputs.shape == like.inputs.shape
    k = basis.outputs.shape[1]
    torch.testing.assert_close(basis.outputs.T @ basis.outputs, torch.eye(k, dtype=torch.float64), **EXACT)
    found = guard.apply(delta, basis).dense()
    assert float((basis.outputs.T @ found).norm()) < 1e-12
    assert torch.equal(basis.outputs, guard.prepare(decomposition, 2).outputs)
    assert not torch.allclose(basis.outputs, guard.prepare(decomposition, 3).outputs)
    assert not torch.allclose(basis.outputs, Random(tau=0.3, seed=6).prepare(decomposition, 2).outputs)


def test_shrink(delta):
    torch.testing.assert_close(Shrink(factor=0.75).apply(delta, None).dense(), 0.75 * delta.dense())
    with pytest.raises(UserError, match="was not solved"):
        Shrink(match="a lane").apply(delta, None)
    for wrong in ({}, {"factor": 0.5, "match": "a lane"}):
        with pytest.raises(UserError, match="either"):
            Shrink(**wrong)


def test_a_guard_is_a_file():
    assert guards.names() == ["crisp", "prune", "random", "rect", "revive", "shrink", "sphere"]
    assert guards.get("revive") is Revive
    with pytest.raises(UserError, match='did you mean "revive"'):
        guards.get("revve")
