"""Metrics against plain inverses, in float64."""

import pytest
import torch

from core.editing.failure import EditFailure
from core.editing.history.woodbury import IncrementalWoodbury
from core.editing.linalg.metric import Dense, LowRankPlusDiagonal, Restricted
from core.editing.linalg.solve import one_plus
from core.editing.linalg.subspace import Projection, joint_basis

D, EXACT = 12, {"rtol": 1e-9, "atol": 1e-10}


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def orthonormal(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.linalg.qr(random(rows, columns, seed=seed))[0]


U, DIAGONAL = random(D, 4, seed=1), random(D, seed=2) ** 2 + 0.1
KEYS, RIGHT = random(D, 3, seed=3), random(D, 5, seed=4)
BASES = {
    "dense": lambda a: Dense(a, 0),
    "low rank plus diagonal": lambda a: LowRankPlusDiagonal(2.5, U, DIAGONAL, 0),
}
A = 2.5 * (U @ U.T + DIAGONAL.diag())


@pytest.mark.parametrize("kind", BASES)
def test_a_solve_is_the_inverse(kind):
    metric = BASES[kind](A)
    torch.testing.assert_close(metric.solve(RIGHT), torch.linalg.inv(A) @ RIGHT, **EXACT)
    torch.testing.assert_close(metric.solve(RIGHT[:, :0]), RIGHT[:, :0], **EXACT)
    torch.testing.assert_close(metric.solve_with_keys(KEYS), torch.linalg.inv(A + KEYS @ KEYS.T) @ KEYS, **EXACT)


@pytest.mark.parametrize("kind", BASES)
def test_a_restricted_metric_is_the_metric_of_the_complement(kind):
    both = orthonormal(D, D, seed=5)
    blocked, free = both[:, :4], both[:, 4:]
    metric = Restricted(IncrementalWoodbury(BASES[kind](A)).plus(KEYS), blocked)
    inside = free @ torch.linalg.inv(free.T @ (A + KEYS @ KEYS.T) @ free) @ free.T
    torch.testing.assert_close(metric.solve(RIGHT), inside @ RIGHT, **EXACT)
    assert float((blocked.T @ metric.solve_with_keys(RIGHT)).abs().max()) < 1e-12


def test_numbers_that_break_are_told():
    with pytest.raises(EditFailure, match="Layer 4.*not finite") as failure:
        one_plus(torch.full((2, 2), float("nan"), dtype=torch.float64), 4)
    assert failure.value.too_large


def test_directions_are_put_together():
    first, second = orthonormal(D, 3, seed=1), orthonormal(D, 4, seed=2)
    found = joint_basis(first, torch.cat([first[:, :1], second], 1)[:, :3])
    assert found.shape == (D, 5)
    torch.testing.assert_close(found.T @ found, torch.eye(5, dtype=torch.float64), **EXACT)
    assert float((first - found @ (found.T @ first)).norm()) < 1e-10
    assert joint_basis(first) is first


def test_a_projection_by_either_side():
    both = orthonormal(D, D, seed=6)
    onto, off = Projection(both[:, :5], onto=True), Projection(both[:, 5:], onto=False)
    torch.testing.assert_close(onto.apply(RIGHT), off.apply(RIGHT), **EXACT)
    assert onto.rank == off.rank == 5
