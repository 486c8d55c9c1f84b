"""Earlier keys taken up block by block: equal to fresh dense solves in float64, and to themselves after a replay."""

import pytest
import torch

from core.editing import priors
from core.editing.failure import EditFailure
from core.editing.history import incremental as between_rounds
from core.editing.history import woodbury as bordered
from core.editing.history.incremental import KeyHistory, protecting
from core.editing.lane.state import LaneState, LayerUpdates
from core.editing.linalg.lowrank import LowRank
from core.editing.linalg.metric import Dense
from core.editing.methods.alphaedit import AlphaEdit
from core.editing.methods.emmet import Emmet
from core.editing.methods.memit import Memit
from core.editing.priors.lowrank import LowRankPrior
from tests.editing.algebra import D_OUT, LayerContext, eye, random

D = 60
EXACT = {"rtol": 1e-9, "atol": 1e-11}
SPREAD = random(D, 300, seed=1) * torch.linspace(2, 0.2, D, dtype=torch.float64)[:, None]
A = SPREAD @ SPREAD.T / 300
KEYS, RIGHT = random(D, 700, seed=2), random(D, 3, seed=3)


def unchanged(block: torch.Tensor) -> torch.Tensor:
    return block


class Counting(Dense):
    """A that counts what it is asked to solve."""

    def __init__(self):
        super().__init__(A, 0)
        self.asked: list[int] = []

    def solve(self, right: torch.Tensor) -> torch.Tensor:
        self.asked.append(right.shape[1])
        return super().solve(right)


@pytest.fixture
def blocks_of_ten(monkeypatch):
    monkeypatch.setattr(bordered, "CHUNK", 10)
    monkeypatch.setattr(between_rounds, "CHUNK", 10)


@pytest.mark.parametrize("woodbury_limit", [15, D])
def test_it_equals_a_fresh_solve_however_many_keys_there_are(woodbury_limit):
    key_history, base, factored = KeyHistory(), Dense(A, 0), []
    for count in (0, 1, 14, 15, 44, 59, 60, 61, 130, 131, 500, 700):
        found = protecting(
            key_history, base, KEYS[:, :count], unchanged, lambda: factored.append(1) or A, woodbury_limit
        )
        past = KEYS[:, :count]
        torch.testing.assert_close(found.solve(RIGHT), torch.linalg.inv(A + past @ past.T) @ RIGHT, **EXACT)
        assert found.count == count if count < woodbury_limit else found.count < D // 4
    assert len(factored) == 1


@pytest.mark.parametrize("woodbury_limit", [15, D])
def test_kept_between_rounds_it_has_the_bits_of_a_replay(woodbury_limit):
    """In whatever rounds the keys came, with another lane between, that goes on from the same keys for a while."""
    key_history, base = KeyHistory(), Dense(A, 0)
    other = torch.cat([KEYS[:, :90], KEYS[:, 90:].flip(1)], 1)

    def solved(key_history: KeyHistory, history: torch.Tensor) -> torch.Tensor:
        return protecting(key_history, base, history, unchanged, lambda: A, woodbury_limit).solve(RIGHT)

    for count in (3, 50, 59, 60, 95, 101, 155, 260, 155, 700):
        for history in (KEYS, other):
            part = history[:, :count].float()
            assert torch.equal(solved(key_history, part), solved(KeyHistory(), part.clone()))


@pytest.mark.usefixtures("blocks_of_ten")
def test_a_round_costs_its_own_size():
    """No key is solved for twice once its block is whole, whatever the number of keys before it."""
    key_history, base, history = KeyHistory(), Counting(), torch.cat([KEYS, KEYS], 1)
    for count in range(20, 700, 20):
        base.asked.clear()
        protecting(key_history, base, KEYS[:, :count], unchanged, lambda: A, woodbury_limit=10**6)
        assert base.asked == [10, 10]
    for count in range(701, 720):
        base.asked.clear()
        protecting(key_history, base, history[:, :count], unchanged, lambda: A, woodbury_limit=10**6)
        assert sum(base.asked) == (20 if count == 701 else 10 if count == 710 else 0)


@pytest.mark.usefixtures("blocks_of_ten")
def test_what_a_round_solves_for_is_there_in_the_next():
    key_history, base = KeyHistory(), Counting()
    for count in range(0, 600, 20):
        base.asked.clear()
        metric = protecting(key_history, base, KEYS[:, :count], unchanged, lambda: A, woodbury_limit=10**6)
        metric.solve_with_keys(KEYS[:, count : count + 20])
        metric.solve_keys(KEYS[:, count : count + 20])
        assert base.asked == [10, 10]


@pytest.mark.usefixtures("blocks_of_ten")
@pytest.mark.parametrize("woodbury_limit", [15, 10**6])
def test_a_rounds_own_keys_give_the_bits_of_a_replay_and_the_plain_solve(woodbury_limit):
    """Rounds of all sizes, one of them tried with other keys first; and the keys that are history are not those that
    were tried last."""
    key_history, base, count, wide = KeyHistory(), Dense(A, 0), 0, KEYS.float().double()
    for size in (3, 20, 1, 9, 35, 5, 5, 40, 12):
        past, metric = (
            wide[:, :count],
            protecting(key_history, base, wide[:, :count], unchanged, lambda: A, woodbury_limit),
        )
        for keys in (wide[:, count : count + size], wide[:, 600 : 600 + size]):
            replayed = protecting(KeyHistory(), base, past.clone(), unchanged, lambda: A, woodbury_limit)
            for ask in ("solve_keys", "solve_with_keys"):
                found = getattr(metric, ask)(keys)
                assert torch.equal(found, getattr(replayed, ask)(keys.clone()))
                cost = A + past @ past.T + (keys @ keys.T if ask == "solve_with_keys" else 0)
                torch.testing.assert_close(found, torch.linalg.inv(cost) @ keys, **EXACT)
        count += size


@pytest.mark.usefixtures("blocks_of_ten")
@pytest.mark.parametrize("broken", [0, 3, 11])
def test_the_key_to_blame_is_the_rounds_own(broken):
    history, keys = KEYS[:, :17], KEYS[:, 100:112].clone()
    keys[:, broken] *= 1e200
    with pytest.raises(EditFailure, match=r"Layer 0") as failure:
        protecting(KeyHistory(), Dense(A, 0), history, unchanged, lambda: A, woodbury_limit=10**6).solve_with_keys(keys)
    assert failure.value.fact == broken
    assert failure.value.too_large  # what a lane's method can do about it is said where the method is known


def test_old_factors_are_let_go_of():
    key_history, base = KeyHistory(), Dense(A, 0)
    for count in range(0, 700, 10):
        protecting(key_history, base, KEYS[:, :count], unchanged, lambda: A, woodbury_limit=15).solve_with_keys(
            KEYS[:, :10]
        )
        assert len(key_history.precomputed) <= 4
        assert len(key_history.anchors) <= 1
        assert len(key_history.wholes) <= 1


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
    weight = random(D_OUT, D, seed=9)
    return LayerContext(
        layer=3,
        weight=weight,
        original=weight,
        history=history,
        moment=lambda: A.clone(),
        memo=memo,
        prior=prior or priors.get("full")(),
    )
