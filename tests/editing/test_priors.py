"""Priors against slow transcriptions of their equations, in float64 (relative 1e-8 unless told)."""

import pytest
import torch

from core.editing import priors
from core.editing.deltas.ledger import Ledger
from core.editing.history.folding import fold
from core.editing.lane.state import LaneState
from core.editing.layer_context import LayerContext
from core.editing.methods.alphaedit import AlphaEdit
from core.editing.methods.emmet import Emmet
from core.editing.methods.memit import Memit
from core.editing.priors.full import Full
from core.editing.priors.lowrank import LowRankPrior, fewest
from core.editing.recipe import recipe_from_dict
from core.editing.rounds.edit_round import edit_round
from core.errors import UserError
from tests.editing.common import FACTS, recipe_of, session_of

D_IN, D_OUT, B = 16, 7, 3
EXACT = {"rtol": 1e-8, "atol": 1e-10}
EYE = torch.eye(D_IN, dtype=torch.float64)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


SPREAD = random(D_IN, 50, seed=1) * torch.linspace(3, 0.1, D_IN, dtype=torch.float64)[:, None]
MOMENT = SPREAD @ SPREAD.T / 50
KEYS, RESIDUAL, EARLIER = random(D_IN, B, seed=2), random(D_OUT, B, seed=3), random(D_IN, 9, seed=4)
WEIGHT = random(D_OUT, D_IN, seed=5)


def context(prior, history: torch.Tensor | None = None, memo: dict | None = None) -> LayerContext:
    return LayerContext(
        layer=3,
        weight=WEIGHT,
        original=WEIGHT,
        history=torch.zeros(D_IN, 0, dtype=torch.float64) if history is None else history,
        moment=lambda: MOMENT.clone(),
        memo={} if memo is None else memo,
        prior=prior,
    )


def slow_factors(alpha: float, energy: float) -> tuple[torch.Tensor, torch.Tensor]:
    """U and D by FastEdit's Eq. 10-13, one direction at a time."""

    def rank_of(matrix: torch.Tensor) -> int:
        values = sorted(torch.linalg.eigvalsh(matrix).tolist(), reverse=True)
        k = 1
        while sum(values[:k]) < energy * sum(values):
            k += 1
        return k

    u, sigma, vh = torch.linalg.svd(WEIGHT)
    prior = torch.zeros_like(MOMENT)
    for i in range(min(rank_of(MOMENT), D_OUT)):
        prior += sigma[i] ** 2 * torch.outer(vh[i], vh[i])
    prior *= torch.linalg.norm(MOMENT) / torch.linalg.norm(prior)
    fused = (1 - alpha) * MOMENT + alpha * prior
    values, vectors = torch.linalg.eigh(fused)
    r0 = rank_of(fused)
    directions = torch.stack([vectors[:, -i] * values[-i].sqrt() for i in range(1, r0 + 1)], 1)
    return directions, (fused - directions @ directions.T).diagonal().clamp(min=1e-6 * float(fused.trace()) / D_IN)


@pytest.mark.parametrize("history", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.05, 1.0])
@pytest.mark.parametrize("lambda_", [0.5, 15000.0])
def test_memit_f_is_the_direct_solve(lambda_, alpha, history):
    prior = LowRankPrior(alpha=alpha, energy=0.7)
    found = Memit(lambda_=lambda_, history=history).update(KEYS, RESIDUAL, context(prior, EARLIER))
    directions, diagonal = slow_factors(alpha, 0.7)
    cost = lambda_ * (directions @ directions.T + diagonal.diag()) + (EARLIER @ EARLIER.T if history else 0)
    direct = RESIDUAL @ KEYS.T @ torch.linalg.inv(cost + KEYS @ KEYS.T)
    torch.testing.assert_close(found.dense(), direct, **EXACT)
    assert found.columns == B


@pytest.mark.parametrize("history", [False, True])
def test_emmet_f_meets_its_targets_at_least_cost(history):
    """FastEdit, Eq. 15 with the history of Eq. 22."""
    lambda_, prior = 0.5, LowRankPrior(alpha=0.05, energy=0.7)
    found = Emmet(lambda_=lambda_, history=history).update(KEYS, RESIDUAL, context(prior, EARLIER)).dense()
    directions, diagonal = slow_factors(0.05, 0.7)
    inverse = torch.linalg.inv(
        lambda_ * (directions @ directions.T + diagonal.diag()) + (EARLIER @ EARLIER.T if history else 0)
    )
    expected = RESIDUAL @ torch.linalg.inv(KEYS.T @ inverse @ KEYS) @ KEYS.T @ inverse
    torch.testing.assert_close(found, expected, **EXACT)
    torch.testing.assert_close(found @ KEYS, RESIDUAL, **EXACT)


@pytest.mark.parametrize("beta", [1.0, 10.0])
def test_alphaedit_f_is_its_woodbury_form(beta):
    """FastEdit, Eq. 18 with earlier keys: R [KᵀP − KᵀP K_all (βI + K_allᵀ P K_all)⁻¹ K_allᵀ P] / β."""
    prior = LowRankPrior(alpha=0.05, rank=6)
    found = AlphaEdit(beta=beta).update(KEYS, RESIDUAL, context(prior, EARLIER)).dense()
    top = torch.linalg.eigh(prior.fused(context(prior)))[1][:, -6:]
    p = EYE - top @ top.T
    every = torch.cat([EARLIER, KEYS], 1)
    inner = torch.linalg.inv(beta * torch.eye(every.shape[1], dtype=torch.float64) + every.T @ p @ every)
    expected = RESIDUAL @ (KEYS.T @ p - KEYS.T @ p @ every @ inner @ every.T @ p) / beta
    torch.testing.assert_close(found, expected, **EXACT)
    direct = RESIDUAL @ KEYS.T @ p @ torch.linalg.inv(every @ every.T @ p + beta * EYE)
    torch.testing.assert_close(found, direct, **EXACT)


def test_a_ridge_widens_the_diagonal():
    found = Memit(lambda_=2.0, ridge=0.5).update(KEYS, RESIDUAL, context(LowRankPrior(alpha=0.0)))
    directions, diagonal = slow_factors(0.0, 0.8)
    cost = 2.0 * (directions @ directions.T + (diagonal + 0.5 * MOMENT.trace() / D_IN).diag())
    torch.testing.assert_close(found.dense(), RESIDUAL @ KEYS.T @ torch.linalg.inv(cost + KEYS @ KEYS.T), **EXACT)


def test_the_model_of_the_keys_has_their_variances():
    factors = LowRankPrior(alpha=0.0, energy=0.6).factors(context(LowRankPrior()))
    modelled = factors.directions @ factors.directions.T + factors.diagonal.diag()
    torch.testing.assert_close(modelled.diagonal(), MOMENT.diagonal(), **EXACT)
    everything = LowRankPrior(alpha=0.0, energy=1.0, floor=1e-9).factors(context(LowRankPrior()))
    torch.testing.assert_close(everything.directions @ everything.directions.T, MOMENT, **EXACT)
    assert float(everything.diagonal.min()) == pytest.approx(1e-9 * float(MOMENT.trace()) / D_IN)


def test_options_of_the_rank():
    values = torch.linalg.eigvalsh(MOMENT).flip(0)
    by_variance, by_squares = LowRankPrior(energy=0.8), LowRankPrior(energy=0.8, energy_of="squared")
    assert by_variance.directions(values) > by_squares.directions(values)
    assert LowRankPrior(rank=5).directions(values) == 5
    assert LowRankPrior(rank=99).directions(values) == D_IN
    assert [fewest(torch.tensor([4.0, 3.0, 2.0, 1.0]), share) for share in (0.1, 0.4, 0.41, 0.9, 1.0)] == [
        1,
        1,
        2,
        3,
        4,
    ]


def test_the_weights_own_directions():
    fused = LowRankPrior(alpha=1.0, rank=3, weights="identity").fused(context(LowRankPrior()))
    vh = torch.linalg.svd(WEIGHT)[2][:3]
    torch.testing.assert_close(fused, vh.T @ vh * MOMENT.norm() / 3**0.5, **EXACT)


def test_alphaedit_f_projects_out_the_directions():
    prior = LowRankPrior(alpha=0.0, rank=6)
    top = torch.linalg.eigh(MOMENT)[1][:, -6:]
    projection = prior.projection(context(prior), 0.0)
    torch.testing.assert_close(projection.apply(KEYS), KEYS - top @ (top.T @ KEYS), **EXACT)
    assert projection.rank == D_IN - 6
    below = float(torch.linalg.eigvalsh(MOMENT)[-6]) * 0.999
    full = Full().projection(context(Full()), below)
    torch.testing.assert_close(full.apply(KEYS), projection.apply(KEYS), **EXACT)
    low = Full().projection(context(Full()), float(torch.linalg.eigvalsh(MOMENT)[2]))
    assert (low.rank, low.onto) == (2, True)


def test_without_compression_nothing_is_lost():
    loose, off = LowRankPrior(gamma=1.0, interval=4), LowRankPrior(interval=None)
    method = Memit(lambda_=1.0, history=True)
    found = [method.update(KEYS, RESIDUAL, context(prior, EARLIER)).dense() for prior in (loose, off)]
    torch.testing.assert_close(found[0], found[1], **EXACT)
    assert torch.equal(off.compressed(context(off, EARLIER))[1], EARLIER)


@pytest.mark.parametrize("gamma", [0.5, 0.9, 0.99])
def test_compression_loses_at_most_its_share(gamma):
    """0 ≼ K K' of what is kept ≼ K Kᵀ of all, and each compression takes at most (1−γ) of the trace."""
    prior, keys = LowRankPrior(gamma=gamma, interval=10), random(D_IN, 43, seed=6)
    kept = torch.cat(prior.compressed(context(prior, keys)), 1)
    lost = torch.linalg.eigvalsh(keys @ keys.T - kept @ kept.T)
    assert float(lost.min()) > -1e-9
    assert 0 < float(lost.sum()) <= 4 * (1 - gamma) * float((keys**2).sum())
    one = prior.compress(keys)
    assert float((one**2).sum()) >= gamma * float((keys**2).sum()) * (1 - 1e-12)
    assert torch.equal(kept[:, -3:], keys[:, -3:])


def test_compression_is_capped():
    prior, keys = LowRankPrior(gamma=1.0, interval=10, max_rank=4), random(D_IN, 30, seed=6)
    kept = prior.compress(keys)
    sigma = torch.linalg.svdvals(keys)
    assert kept.shape == (D_IN, 4)
    lost = torch.linalg.matrix_norm(keys @ keys.T - kept @ kept.T, 2)
    assert float(lost) == pytest.approx(float(sigma[4] ** 2))


def test_what_is_kept_between_rounds_is_what_a_replay_gives():
    """Bit for bit, in whatever rounds the keys came, with other lanes between and after an undo."""
    prior, memo, keys = LowRankPrior(interval=4, gamma=0.9), {}, random(D_IN, 25, seed=7).float()
    method = Memit(lambda_=1.0, history=True)

    def lived(count: int, memo: dict, keys: torch.Tensor = keys) -> torch.Tensor:
        return method.update(KEYS, RESIDUAL, context(prior, keys[:, :count], memo)).right

    for count in (1, 3, 4, 9, 12, 17, 25, 9, 20, 25):
        other = lived(count, memo, -keys.flip(1))
        assert torch.equal(other, lived(count, {}, -keys.flip(1)))
        assert torch.equal(lived(count, memo), lived(count, {}))


def test_a_fold_goes_on_from_where_it_was():
    steps: list[int] = []

    def step(kept: list[float], block: torch.Tensor) -> list[float]:
        steps.append(int(block[0, 0]))
        return [*kept, float(block.sum())]

    columns, known = torch.arange(10.0)[None], []
    assert fold(known, columns[:, :5], 2, [], step)[0] == [1, 5]
    value, rest = fold(known, columns, 2, [], step)
    assert (value, steps, rest.shape) == ([1, 5, 9, 13, 17], [0, 2, 4, 6, 8], (1, 0))
    assert fold(known, columns[:, :3], 2, [], step)[0] == [1]
    for shift in range(9):
        fold(known, columns + shift, 2, [], step)
    assert len(known) == 4


def test_lanes_name_their_prior():
    recipe = recipe_from_dict({"method": "memit", "prior": "lowrank"})
    assert (recipe.label, recipe.prior, recipe.method.history) == ("MEMIT-F", LowRankPrior(), True)
    settled = recipe_from_dict(
        {"method": "memit", "history": False, "prior": {"name": "lowrank", "alpha": 0, "interval": None}}
    )
    assert (settled.prior.alpha, settled.prior.interval, settled.method.history) == (0.0, None, False)
    assert recipe_from_dict(settled.as_dict()) == settled
    assert recipe_from_dict({"method": "memit"}).as_dict()["prior"] == "full"
    assert priors.names() == ["full", "lowrank"]
    with pytest.raises(UserError, match='did you mean "full"'):
        priors.get("ful")


def test_a_lane_with_it_is_edited_and_replayed(lm, tmp_path):
    session, ledger = session_of(lm), Ledger(tmp_path)
    recipe = recipe_of(lm, prior={"name": "lowrank", "interval": 2}, steps=6, **{"lambda": 0.1})
    state = LaneState.base(lm, recipe.layers)
    for round_, facts in enumerate((FACTS[:2], FACTS[2:], FACTS[:1]), 1):
        update = edit_round(lm, state, facts, recipe, session)
        assert all(update.updates[layer].norm() > 0 for layer in recipe.layers)
        ledger.append("lane", round_, update)
        state.apply(update)
    again = [edit_round(lm, s, FACTS, recipe, session_of(lm)) for s in (state, ledger.rebuild(lm, "lane", [0, 1, 2]))]
    for layer in recipe.layers:
        assert torch.equal(again[0].updates[layer].left, again[1].updates[layer].left)
        assert torch.equal(again[0].updates[layer].right, again[1].updates[layer].right)
