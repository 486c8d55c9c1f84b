"""Earlier keys taken up block by block: equal to fresh dense solves in float64, and to themselves after a replay."""

import pytest
import torch

from core.editing import bordered
from core.editing.bordered import Bordered, Growth, protecting
from core.editing.lowrank import LowRank
from core.editing.methods.alphaedit import AlphaEdit
from core.editing.methods.emmet import Emmet
from core.editing.methods.memit import Memit
from core.editing.metric import Dense, LowRankPlusDiagonal, Scaled
from core.editing.priors.lowrank import LowRankPrior
from core.editing.state import LaneState, LayerUpdates
from tests.editing.algebra import D_OUT, LayerContext, eye, random

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


def unchanged(block: torch.Tensor) -> torch.Tensor:
    return block


@pytest.mark.parametrize("kind", BASES)
def test_borders_give_the_inverse(kind):
    base, matrix = BASES[kind]
    found, taken = Bordered(base()), 0
    for size in (1, 7, 0, 50, 100, 142, 3):
        found, taken = found.plus(KEYS[:, taken : taken + size]), taken + size
        past = KEYS[:, :taken]
        torch.testing.assert_close(found.solve(RIGHT), torch.linalg.inv(matrix + past @ past.T) @ RIGHT, **EXACT)
    assert found.count == taken == 303


def test_what_does_not_stay_leaves_no_trace():
    first = Bordered(BASES["dense"][0]()).plus(KEYS[:, :120])
    passing = first.plus(KEYS[:, 200:230], for_good=False)
    seen = torch.cat([KEYS[:, :120], KEYS[:, 200:230]], 1)
    torch.testing.assert_close(passing.solve(RIGHT), torch.linalg.inv(A + seen @ seen.T) @ RIGHT, **EXACT)
    one, other = first.plus(KEYS[:, 120:170]), first.plus(KEYS[:, 170:220])
    for found, more in ((one, KEYS[:, 120:170]), (other, KEYS[:, 170:220])):
        seen = torch.cat([KEYS[:, :120], more], 1)
        torch.testing.assert_close(found.solve(RIGHT), torch.linalg.inv(A + seen @ seen.T) @ RIGHT, **EXACT)
    alone = Bordered(BASES["dense"][0]()).plus(KEYS[:, :120]).plus(KEYS[:, 170:220])
    assert torch.equal(other.solve(RIGHT), alone.solve(RIGHT))


@pytest.mark.parametrize("dual", [15, D])
def test_it_equals_a_fresh_solve_however_many_keys_there_are(dual):
    growth, base, factored = Growth(), Dense(A, 0), []
    for count in (0, 1, 14, 15, 44, 59, 60, 61, 130, 131, 500, 700):
        found = protecting(growth, base, KEYS[:, :count], unchanged, lambda: factored.append(1) or A, dual)
        past = KEYS[:, :count]
        torch.testing.assert_close(found.solve(RIGHT), torch.linalg.inv(A + past @ past.T) @ RIGHT, **EXACT)
        beside = getattr(found, "count", 0)
        assert beside == count if count < dual else beside < D // 4
    assert len(factored) == 1


@pytest.mark.parametrize("dual", [15, D])
def test_kept_between_rounds_it_has_the_bits_of_a_replay(dual):
    """In whatever rounds the keys came, with another lane between, that goes on from the same keys for a while."""
    growth, base = Growth(), Dense(A, 0)
    other = torch.cat([KEYS[:, :90], KEYS[:, 90:].flip(1)], 1)

    def solved(growth: Growth, history: torch.Tensor) -> torch.Tensor:
        return protecting(growth, base, history, unchanged, lambda: A, dual).solve(RIGHT)

    for count in (3, 50, 59, 60, 95, 101, 155, 260, 155, 700):
        for history in (KEYS, other):
            part = history[:, :count].float()
            assert torch.equal(solved(growth, part), solved(Growth(), part.clone()))


def test_a_round_costs_its_own_size(monkeypatch):
    """No key is solved for twice once its block is whole, whatever the number of keys before it."""
    asked = []

    class Counting(Dense):
        def solve(self, right: torch.Tensor) -> torch.Tensor:
            asked.append(right.shape[1])
            return super().solve(right)

    monkeypatch.setattr(bordered, "CHUNK", 10)
    growth, base = Growth(), Counting(A, 0)
    for count in range(20, 700, 20):
        asked.clear()
        protecting(growth, base, KEYS[:, :count], unchanged, lambda: A, dual=10**6)
        assert asked == [10, 10]
    for count in range(701, 720):
        asked.clear()
        history = torch.cat([KEYS, KEYS], 1)[:, :count]
        protecting(growth, base, history, unchanged, lambda: A, dual=10**6)
        assert sum(asked) <= 10 + (count % 10) + (20 if count == 701 else 0)


def test_old_factors_are_let_go_of():
    growth, base = Growth(), Dense(A, 0)
    for count in range(0, 700, 10):
        protecting(growth, base, KEYS[:, :count], unchanged, lambda: A, dual=15)
        assert len(growth.anchors) <= 1
        assert len(growth.wholes) <= 1


METHODS = [
    Memit(lambda_=2.0, ridge=0.1, history=True),
    Emmet(lambda_=2.0, history=True),
    AlphaEdit(threshold=0.5, relative=True, beta=2.0),
]
PRIORS = [None, LowRankPrior(energy=0.7, interval=None), LowRankPrior(energy=0.7, interval=40, gamma=0.9)]


@pytest.mark.parametrize("prior", PRIORS, ids=["full", "low rank", "compressed"])
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.title)
def test_many_rounds_of_a_method_are_as_a_rebuilt_lane_has_them(method, prior):
    memo, state = {}, LaneState({}, {3: torch.zeros(D, 0)}, {3: torch.zeros(D_OUT, D)})
    for first, size in ((0, 20), (20, 20), (40, 1), (41, 60), (101, 20), (121, 5)):
        batch = KEYS[:, first : first + size].float()
        found = [
            method.update(batch.double(), random(D_OUT, size, seed=first), context(history, kept, prior)).right
            for history, kept in ((state.history[3], memo), (state.history[3].clone(), {}))
        ]
        assert torch.equal(*found)
        if prior is None or prior.interval is None:
            assert_exact(method, prior, batch.double(), random(D_OUT, size, seed=first), state.history[3], found[0])
        nothing = LowRank(torch.zeros(D_OUT, 0), torch.zeros(D, 0))
        state.sums[3] = torch.zeros(D_OUT, D)
        state.apply(LayerUpdates({3: nothing}, {3: batch}))
    assert state.history[3].shape == (D, 126)


def assert_exact(method, prior, keys, residual, history, found) -> None:
    """R Xᵀ against the method's formula with all keys in one plain inverse."""
    past, here = history.double(), context(history, {}, prior)
    if isinstance(method, AlphaEdit):
        p = here.prior.projection(here, 0.5 * float(A.diagonal().mean())).apply(eye(D))
        expected = torch.linalg.inv(p @ (past @ past.T + keys @ keys.T) @ p + 2.0 * eye(D)) @ p @ keys
    else:
        ridge = 0.1 if isinstance(method, Memit) else 0.0
        cost = torch.linalg.inv(here.metric(2.0, ridge).solve(eye(D))) + past @ past.T
        carried = torch.linalg.inv(cost) @ keys
        if isinstance(method, Emmet):
            expected = carried @ torch.linalg.pinv(keys.T @ carried, rtol=1e-12, hermitian=True)
        else:
            expected = torch.linalg.inv(cost + keys @ keys.T) @ keys
    if keys.shape[1] < D:
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-9 * float(expected.abs().max()))


def context(history: torch.Tensor, memo: dict, prior: object) -> LayerContext:
    more = {} if prior is None else {"prior": prior}
    weight = random(D_OUT, D, seed=9)
    return LayerContext(
        layer=3, weight=weight, original=weight, history=history, moment=lambda: A.clone(), memo=memo, **more
    )
