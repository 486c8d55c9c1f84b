"""A factor with a border that grows by keys: equal to fresh dense solves in float64."""

import pytest
import torch

from core.editing.history.woodbury import IncrementalWoodbury
from core.editing.linalg.metric import Dense, LowRankPlusDiagonal, Scaled
from tests.editing.algebra import eye, random

D = 60
EXACT = {"rtol": 1e-9, "atol": 1e-11}
SPREAD = random(D, 300, seed=1) * torch.linspace(2, 0.2, D, dtype=torch.float64)[:, None]
A = SPREAD @ SPREAD.T / 300
KEYS, RIGHT = random(D, 700, seed=2), random(D, 3, seed=3)
U, DIAGONAL = random(D, 5, seed=4), random(D, seed=5) ** 2 + 0.1
BASES = {
    "dense": (lambda: Dense(A, 0), A),
    "low rank plus diagonal": (lambda: LowRankPlusDiagonal(2.5, U, DIAGONAL, 0), 2.5 * (U @ U.T + DIAGONAL.diag())),
    "scaled": (lambda: Scaled(3.0, 0), 3.0 * eye(D)),
}


@pytest.mark.parametrize("kind", BASES)
def test_borders_give_the_inverse(kind):
    base, matrix = BASES[kind]
    found, taken = IncrementalWoodbury(base()), 0
    for size in (1, 7, 0, 50, 100, 142, 3):
        found, taken = found.plus(KEYS[:, taken : taken + size]), taken + size
        past = KEYS[:, :taken]
        torch.testing.assert_close(found.solve(RIGHT), torch.linalg.inv(matrix + past @ past.T) @ RIGHT, **EXACT)
    assert found.count == taken == 303


@pytest.mark.parametrize("before", [0, 40])
def test_what_the_newest_keys_left_is_their_solve(before):
    found = IncrementalWoodbury(BASES["dense"][0]()).plus(KEYS[:, :before]).plus(KEYS[:, before : before + 30])
    inner, lower = found.newest(30)
    past, new = KEYS[:, :before], KEYS[:, before : before + 30]
    expected = torch.linalg.inv(A + past @ past.T) @ new
    torch.testing.assert_close(inner, expected, **EXACT)
    torch.testing.assert_close(lower @ lower.T, new.T @ expected + eye(30), **EXACT)


def test_what_does_not_stay_leaves_no_trace():
    first = IncrementalWoodbury(BASES["dense"][0]()).plus(KEYS[:, :120])
    passing = first.plus(KEYS[:, 200:230], for_good=False)
    seen = torch.cat([KEYS[:, :120], KEYS[:, 200:230]], 1)
    torch.testing.assert_close(passing.solve(RIGHT), torch.linalg.inv(A + seen @ seen.T) @ RIGHT, **EXACT)
    one, other = first.plus(KEYS[:, 120:170]), first.plus(KEYS[:, 170:220])
    for found, more in ((one, KEYS[:, 120:170]), (other, KEYS[:, 170:220])):
        seen = torch.cat([KEYS[:, :120], more], 1)
        torch.testing.assert_close(found.solve(RIGHT), torch.linalg.inv(A + seen @ seen.T) @ RIGHT, **EXACT)
    alone = IncrementalWoodbury(BASES["dense"][0]()).plus(KEYS[:, :120]).plus(KEYS[:, 170:220])
    assert torch.equal(other.solve(RIGHT), alone.solve(RIGHT))
