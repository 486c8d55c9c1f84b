import math

import pytest
import torch

from core.editing.linalg.dominance import Dominance
from core.measures.inside.spectrum import Reference, cumulative_energy, curve, spectrum, thin


def matrix(d_out=12, d_in=40, seed=0, dtype=torch.float32):
    return torch.randn(d_out, d_in, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("shape", [(12, 40), (40, 12), (9, 9)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_a_float64_svd(shape, dtype):
    weight = matrix(*shape, dtype=dtype)
    found = spectrum(weight)
    _, sigma, _ = torch.linalg.svd(weight.double(), full_matrices=False)
    torch.testing.assert_close(found.sigma, sigma, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close((found.u * found.sigma) @ found.vh, weight.double(), rtol=0, atol=1e-10)
    assert found.frobenius == pytest.approx(float(weight.double().norm()), rel=1e-12)
    assert found.spectral == pytest.approx(float(sigma[0]), rel=1e-12)
    few = spectrum(weight, 3)
    assert few.u.shape == (shape[0], 3)
    assert few.vh.shape == (3, shape[1])
    assert len(few.sigma) == min(shape)


def test_gram_keeps_small_singular_values():
    """κ = 3000, the cut-off of a 384×2304 matrix: the error stays below 1e-6 of the smallest σ."""
    u = torch.linalg.qr(matrix(20, 20, 1, torch.float64)).Q
    v = torch.linalg.qr(matrix(60, 20, 2, torch.float64)).Q
    weight = ((u * torch.logspace(0, -math.log10(3000), 20, dtype=torch.float64)) @ v.T).float()
    exact = torch.linalg.svdvals(weight.double())
    torch.testing.assert_close(spectrum(weight).sigma, exact, rtol=1e-6, atol=0)


def test_a_weak_direction_keeps_its_vectors():
    """Beyond what a Gram matrix can tell: both sides stay orthonormal and reproduce the matrix."""
    u = torch.linalg.qr(matrix(20, 20, 1, torch.float64)).Q
    v = torch.linalg.qr(matrix(60, 20, 2, torch.float64)).Q
    weight = ((u * torch.logspace(0, -6, 20, dtype=torch.float64)) @ v.T).float()
    for wide in (weight, weight.T):
        found = spectrum(wide)
        torch.testing.assert_close(found.sigma, torch.linalg.svdvals(wide.double()), rtol=1e-9, atol=0)
        for side in (found.u.T @ found.u, found.vh @ found.vh.T):
            torch.testing.assert_close(side, torch.eye(20, dtype=torch.float64), rtol=0, atol=1e-12)
        torch.testing.assert_close((found.u * found.sigma) @ found.vh, wide.double(), rtol=0, atol=1e-13)


@pytest.mark.parametrize("times", [0, 100, 1000, 100_000])
def test_condition_rises_when_a_matrix_explodes(times):
    """κ 20, and a rank-one change of so many σ_1 from u_10 to what no input direction had: that σ becomes
    √(σ_10² + times² σ_1²), the others stay. The numerical rank falls meanwhile, and is told apart."""
    u = torch.linalg.qr(matrix(64, 64, 1, torch.float64)).Q
    v = torch.linalg.qr(matrix(14336, 65, 2, torch.float64)).Q
    sigma = torch.linspace(20, 1, 64, dtype=torch.float64)
    change = 20.0 * times * torch.outer(u[:, 9], v[:, 64])
    weight = (u * sigma) @ v[:, :64].T + change
    exact = math.hypot(float(sigma[9]), 20.0 * times) if times else 20.0
    assert spectrum(weight).condition == pytest.approx(exact, rel=1e-9)
    stored = weight.float()  # which rounds the small directions to the size of the largest
    found = spectrum(stored)
    sigma = torch.linalg.svdvals(stored.double())
    assert found.condition == pytest.approx(float(sigma[0] / sigma[-1]), rel=1e-6)
    assert found.condition == pytest.approx(exact, rel=1e-3 if times <= 1000 else 0.5)
    assert found.tolerance == 14336 * torch.finfo(torch.float32).eps
    assert found.numerical_rank == {0: 64, 100: 55, 1000: 1, 100_000: 1}[times]
    assert found.rank == 64


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_condition_of_a_rank_deficient_matrix(dtype):
    """Infinite where σ_min is round-off of float64; of a float32 matrix it is that of the numbers that are stored."""
    u = torch.linalg.qr(matrix(12, 12, 1, torch.float64)).Q
    v = torch.linalg.qr(matrix(40, 12, 2, torch.float64)).Q
    weight = ((u * torch.tensor([8.0, 4, 2, 1] + [0] * 8, dtype=torch.float64)) @ v.T).to(dtype)
    found = spectrum(weight)
    assert found.numerical_rank == 4
    assert found.tolerance == 40 * torch.finfo(dtype).eps
    sigma = torch.linalg.svdvals(weight.double())
    kappa = math.inf if dtype == torch.float64 else pytest.approx(float(sigma[0] / sigma[-1]), rel=1e-6)
    assert found.condition == kappa
    assert found.condition > 1e6
    assert found.condition_above(1e-3) == pytest.approx(8, rel=1e-5)
    assert torch.isfinite(found.vh).all()


def test_a_singular_matrix_has_no_finite_condition():
    weight = matrix()
    weight[3] = 0
    assert spectrum(weight).condition == math.inf
    assert spectrum(weight).rank == spectrum(weight).numerical_rank == 11
    assert math.isnan(spectrum(torch.zeros(3, 5)).condition)


def test_energy_counts_sigma_not_its_square():
    sigma = torch.tensor([4.0, 3, 2, 1])
    torch.testing.assert_close(cumulative_energy(sigma), torch.tensor([0.4, 0.7, 0.9, 1.0], dtype=torch.float64))
    assert [Dominance(tau).rank(sigma) for tau in (0.01, 0.4, 0.41, 0.7, 0.9, 1.0)] == [1, 1, 2, 2, 3, 4]
    assert Dominance(0.1).rank(torch.ones(10)) == 1  # a share of exactly τ has reached it
    assert Dominance(0.3).rank(torch.ones(10)) == 3


def test_curves_are_short_and_keep_both_ends():
    assert thin(5) == [0, 1, 2, 3, 4]
    index = thin(4096)
    assert len(index) <= 96
    assert (index[0], index[-1]) == (0, 4095)
    drawn = curve(torch.linspace(2, 1, 500))
    assert drawn["sigma"][0] == 2
    assert drawn["cumulative"][-1] == pytest.approx(1)
    assert len(drawn["index"]) == len(drawn["sigma"]) == len(drawn["cumulative"]) <= 96


def test_reference_knows_its_rank():
    weight = matrix()
    reference = Reference.of(3, weight)
    sigma = torch.linalg.svdvals(weight.double())
    k = reference.rank_at(0.3)
    assert sigma[:k].sum() / sigma.sum() >= 0.3 > sigma[: k - 1].sum() / sigma.sum()
    assert reference.spectrum.u.dtype == torch.float32
