import math

import pytest
import torch

from core.measures.studies.maps.mmd import density, mmd_test


def cloud(n=30, d=4, seed=0, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator, dtype=torch.float64) + shift


def slow_mmd2(x, y, h):
    def mean_kernel(a, b):
        return sum(math.exp(-float((r - s).square().sum()) / (2 * h * h)) for r in a for s in b) / (len(a) * len(b))

    return mean_kernel(x, x) + mean_kernel(y, y) - 2 * mean_kernel(x, y)


@pytest.mark.parametrize("paired", [True, False])
def test_mmd_equals_plain_sums(paired):
    x, y = cloud(12), cloud(12, seed=1, shift=0.5)
    found = mmd_test(x, y, paired, draws=9)
    rows = torch.cat([x, y])
    distances = [float((rows[i] - rows[j]).norm()) for i in range(24) for j in range(24) if i != j]
    assert found.bandwidth == pytest.approx(sorted(distances)[(len(distances) - 1) // 2], rel=1e-9)
    assert found.mmd2 == pytest.approx(slow_mmd2(x, y, found.bandwidth), abs=1e-12)


@pytest.mark.parametrize("paired", [True, False])
def test_equal_clouds_are_not_told_apart_and_far_ones_are(paired):
    x = cloud()
    same = mmd_test(x, x.clone(), paired)
    assert same.mmd2 == pytest.approx(0, abs=1e-12)
    assert same.p == 1
    far = mmd_test(x, cloud(seed=1, shift=2.0), paired)
    assert far.p == 1 / 1000
    assert far == mmd_test(x, cloud(seed=1, shift=2.0), paired)  # seeded


@pytest.mark.parametrize("paired", [True, False])
def test_p_values_are_uniform_where_nothing_differs(paired):
    found = [mmd_test(cloud(20, 2, seed), cloud(20, 2, 1000 + seed), paired, draws=99).p for seed in range(200)]
    assert sum(p <= 0.05 for p in found) / 200 == pytest.approx(0.05, abs=0.04)
    assert sum(found) / 200 == pytest.approx(0.5, abs=0.07)


def test_pairs_see_what_shuffling_does_not():
    """A small shift of every point of a wide cloud: within pairs it is plain."""
    x = cloud(40, 2) * 5
    y = x + 1.0
    assert mmd_test(x, y, paired=True).p < 0.01
    assert mmd_test(x, y, paired=False).p > 0.1


def test_pairs_must_pair_and_one_point_is_no_cloud():
    with pytest.raises(ValueError, match="pairs need equally many samples: got 30 and 29"):
        mmd_test(cloud(), cloud(29), paired=True)
    assert mmd_test(torch.ones(5, 2), torch.ones(5, 2), paired=False).bandwidth == 1


def test_density_is_a_mean_of_gaussians_with_area_one():
    values, grid = cloud(50, 1)[:, 0], torch.linspace(-8, 8, 401, dtype=torch.float64)
    found = density(values, grid)
    width = float(values.std()) * 50**-0.2
    for g in (0, 200, 260):
        slow = sum(math.exp(-(((float(grid[g]) - float(v)) / width) ** 2) / 2) for v in values)
        assert float(found[g]) == pytest.approx(slow / (50 * width * math.sqrt(2 * math.pi)), rel=1e-10)
    assert float(found.sum()) * 16 / 400 == pytest.approx(1, abs=1e-6)
    assert float(density(torch.zeros(3), grid).sum()) * 16 / 400 == pytest.approx(1, abs=1e-3)  # all in one place
