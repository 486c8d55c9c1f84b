import pytest
import torch

from core.measures.inside.spectrum import spectrum
from core.measures.studies.angles.random_rotation import haar, rotated_as_far
from tests.measures.test_spectrum import matrix


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_haar_matrices_are_orthogonal_and_uniform():
    q = haar(40, generator())
    torch.testing.assert_close(q.T @ q, torch.eye(40, dtype=torch.float64), rtol=0, atol=1e-13)
    many = [haar(4, generator(seed)) for seed in range(600)]
    traces = torch.stack([q.trace() for q in many])
    assert float(traces.mean()) == pytest.approx(0, abs=0.15)  # uniform: mean 0 and variance 1
    assert float(traces.var()) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("rows", [12, 11])
@pytest.mark.parametrize("share", [1e-6, 0.4, 1.3])
def test_a_turn_goes_exactly_as_far_and_keeps_the_spectrum(rows, share):
    weight = matrix(dtype=torch.float64)[:rows]
    distance = share * float(weight.norm())
    turned = rotated_as_far(weight, distance, haar(rows, generator()))
    assert float((turned - weight).norm()) == pytest.approx(distance, rel=1e-7)
    before, after = spectrum(weight), spectrum(turned)
    torch.testing.assert_close(after.sigma, before.sigma, rtol=1e-11, atol=0)
    torch.testing.assert_close((after.vh * before.vh).sum(1).abs(), torch.ones(rows).double(), rtol=0, atol=1e-8)
    assert after.condition == pytest.approx(before.condition, rel=1e-11)


def test_no_turn_goes_further_than_twice_the_norm():
    weight, basis = matrix(dtype=torch.float64), haar(12, generator())
    assert rotated_as_far(weight, 2.001 * float(weight.norm()), basis) is None
    torch.testing.assert_close(
        rotated_as_far(weight, 2 * float(weight.norm()) * (1 - 1e-15), basis), -weight, rtol=0, atol=1e-6
    )
    torch.testing.assert_close(rotated_as_far(weight, 0.0, basis), weight, rtol=0, atol=1e-12)
