import math

import pytest
import torch

from core.measures.inside.angles import binned_grid, grid, overlap, principal_angles


def orthonormal(d, k, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(d, k, generator=generator, dtype=torch.float64)).Q


@pytest.mark.parametrize("small", [1e-12, 1e-5, 0.3, math.pi / 2])
def test_known_angles_also_tiny_ones(small):
    basis, turn = orthonormal(20, 6), orthonormal(3, 3, seed=1)
    angles = torch.tensor([small, 0.7, 1.2], dtype=torch.float64)
    first = basis[:, :3]
    second = (first * angles.cos() + basis[:, 3:] * angles.sin()) @ turn  # any basis of the turned subspace
    found = principal_angles(first, second)
    torch.testing.assert_close(found, angles.sort().values, rtol=1e-3, atol=1e-15)
    torch.testing.assert_close(found[1:], angles.sort().values[1:], rtol=1e-12, atol=0)


def test_angles_equal_those_of_scipy():
    from scipy.linalg import subspace_angles

    first, second = orthonormal(30, 5), orthonormal(30, 8, seed=1)
    expected = torch.from_numpy(subspace_angles(first.numpy(), second.numpy())).flip(0)
    torch.testing.assert_close(principal_angles(first, second), expected, rtol=1e-10, atol=0)
    torch.testing.assert_close(principal_angles(second, first), expected, rtol=1e-10, atol=0)
    assert float(principal_angles(first, first).max()) < 1e-14


def test_overlap_is_the_mean_squared_cosine():
    first, second = orthonormal(30, 5), orthonormal(30, 5, seed=1)
    expected = float(principal_angles(first, second).cos().square().mean())
    assert overlap(first, second) == pytest.approx(expected, abs=1e-12)
    random = [overlap(first, orthonormal(30, 5, seed)) for seed in range(2, 200)]
    assert sum(random) / len(random) == pytest.approx(5 / 30, abs=0.01)


def test_a_grid_keeps_peaks_and_covers_everything():
    values = torch.zeros(100, 300)
    values[0, 0], values[70, 200], values[99, 299] = 0.5, 1.0, 0.25
    grid = binned_grid(values, 16, 24)
    assert len(grid) <= 16 * 24
    assert sorted(cell["value"] for cell in grid if cell["value"]) == [0.25, 0.5, 1.0]
    peak = next(cell for cell in grid if cell["value"] == 1)
    assert peak["i"] <= 70
    assert peak["j"] <= 200
    assert sum(cell["cells"] for cell in binned_grid(values)) == values.numel()
    small = torch.rand(3, 4)
    assert [cell["value"] for cell in binned_grid(small)] == small.flatten().tolist()


def test_every_entry_up_to_a_size():
    values = torch.rand(30, 50)
    whole = grid(values, 1500)
    assert [cell["value"] for cell in whole] == values.flatten().tolist()
    assert (whole[51]["i"], whole[51]["j"], whole[51]["cells"]) == (1, 1, 1)
    assert grid(values, 1499) == binned_grid(values)
