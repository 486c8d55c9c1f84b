import math

import pytest
import torch

from core.measures.spectrum import Reference, cumulative_energy, curve, dominant_rank, spectrum, thin


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_condition_of_a_rank_deficient_matrix_ignores_round_off(dtype):
    u = torch.linalg.qr(matrix(12, 12, 1, torch.float64)).Q
    v = torch.linalg.qr(matrix(40, 12, 2, torch.float64)).Q
    sigma = torch.tensor([8.0, 4, 2, 1] + [0] * 8, dtype=torch.float64)
    found = spectrum(((u * sigma) @ v.T).to(dtype))
    assert found.rank == 4
    assert found.condition == pytest.approx(8, rel=1e-5)
    assert found.rcond == 40 * torch.finfo(dtype).eps
    assert math.isnan(spectrum(torch.zeros(3, 5)).condition)
    assert torch.isfinite(found.vh).all()


def test_energy_counts_sigma_not_its_square():
    sigma = torch.tensor([4.0, 3, 2, 1])
    torch.testing.assert_close(cumulative_energy(sigma), torch.tensor([0.4, 0.7, 0.9, 1.0], dtype=torch.float64))
    assert [dominant_rank(sigma, tau) for tau in (0.01, 0.4, 0.41, 0.7, 0.9, 1.0)] == [1, 1, 2, 2, 3, 4]
    assert dominant_rank(torch.ones(10), 0.1) == 1  # a share of exactly τ has reached it
    assert dominant_rank(torch.ones(10), 0.3) == 3


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
