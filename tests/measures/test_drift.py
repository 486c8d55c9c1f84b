import math

import pytest
import torch

from core.measures.inside.drift import RESAMPLED, details, factorise, points, r_k, resampled_control, summary


def states(n=600, d=16, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    turn = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64)).Q
    mixing = turn * torch.logspace(0, -1, d, dtype=torch.float64)  # cond ≈ 10
    shift = torch.randn(d, generator=generator, dtype=torch.float64)
    return (torch.randn(n, d, generator=generator, dtype=torch.float64) @ mixing + 3 * shift).to(dtype)


def test_factorisation_equals_the_svd_of_the_centred_matrix():
    h = states(n=20_000, d=8)  # several blocks
    found = factorise(h)
    u, sigma, _ = torch.linalg.svd((h - h.mean(0)).T, full_matrices=False)
    torch.testing.assert_close(found.sigma, sigma, rtol=1e-11, atol=0)
    torch.testing.assert_close((found.u * u).sum(0).abs(), torch.ones(8, dtype=torch.float64), rtol=0, atol=1e-11)


@pytest.mark.parametrize("average", ["mean", "rms"])
def test_r_k_equals_direct_loops(average):
    h, change = states(40, 5), 0.1 * states(40, 5, seed=1)
    found = r_k(factorise(h), change, average)
    u, sigma, _ = torch.linalg.svd((h - h.mean(0)).T, full_matrices=False)
    for k in range(5):
        along = [abs(sum(float(u[j, k] * change[i, j]) for j in range(5))) for i in range(40)]
        size = sum(along) / 40 if average == "mean" else math.sqrt(sum(a * a for a in along) / 40)
        assert float(found[k]) == pytest.approx(math.sqrt(40) * size / float(sigma[k]), rel=1e-10)


def test_a_null_edit_gives_exactly_zero():
    h = states(dtype=torch.float32)
    principal = factorise(h)
    assert float(r_k(principal, h - h).abs().max()) == 0
    flat = torch.cat([h, torch.zeros(len(h), 1)], 1)  # a direction that is null in H as well
    assert float(r_k(factorise(flat), torch.zeros_like(flat)).abs().max()) == 0


def test_resampled_inputs_without_an_edit_give_two_over_root_pi():
    h = states(20_000, 12)
    found = resampled_control(factorise(h), h)
    torch.testing.assert_close(found, torch.full((12,), RESAMPLED, dtype=torch.float64), rtol=0.03, atol=0)
    rms = r_k(factorise(h), states(20_000, 12)[torch.randperm(20_000)] - h, "rms")
    torch.testing.assert_close(rms, torch.full((12,), math.sqrt(2), dtype=torch.float64), rtol=0.03, atol=0)


def test_the_wrong_centring_axis_makes_r_k_explode():
    """The released script's axis makes the all-ones direction null: σ_min is round-off and one R_k holds everything."""
    h = states(2000, 16, dtype=torch.float32)
    other = h + 0.03 * states(2000, 16, seed=7, dtype=torch.float32)
    right, wrong = factorise(h), factorise(h, "sample", torch.float32)
    assert right.condition < 1e3
    assert wrong.condition > 1e5
    assert float(r_k(right, other - h).max()) < 10
    exploded = r_k(wrong, other - h)
    assert float(exploded.max()) > 1e4
    assert float(exploded.max() / exploded.sum()) > 0.9
    assert bool(right.real.all())
    assert not bool(factorise(h, "sample").real.all())


def test_too_few_or_unpaired_samples_are_refused():
    with pytest.raises(ValueError, match="at least as many states as dimensions: got 4 states of width 16"):
        factorise(states(4))
    with pytest.raises(ValueError, match="pairs the same samples"):
        r_k(factorise(states(40)), states(39))


def test_summary_and_points():
    values = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0])
    assert summary(values) == pytest.approx({"rk_median": 1, "rk_q90": 1.8, "rk_over_1": 0.4, "rk_max": 2})
    drawn = points(torch.arange(384.0))
    assert len(drawn["k"]) == len(drawn["rk"]) <= 64
    assert drawn["rk"] == [float(k) for k in drawn["k"]]


def test_details():
    found = details(torch.tensor([0.0, 1.0, 2.0, 7.0]))
    assert found == pytest.approx({"rk_mean": 2.5, "rk_std": math.sqrt(29 / 3), "rk_min": 0, "rk_top_share": 0.7})
    assert details(torch.zeros(3))["rk_top_share"] == 0
