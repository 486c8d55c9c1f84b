import pytest
import torch

from core.measures.inside.energy import disturbance, energy_groups, group_size, kept_rank, strongest
from core.measures.inside.spectrum import Reference
from tests.measures.test_spectrum import matrix


def test_the_strongest_directions_rebuild_the_weight():
    weight = matrix(dtype=torch.float64)
    reference = Reference.of(0, weight)
    u, sigma, vh = torch.linalg.svd(weight, full_matrices=False)
    for k in (1, 5, 12):
        slow = sum(float(sigma[i]) * torch.outer(u[:, i], vh[i]) for i in range(k))
        torch.testing.assert_close(strongest(reference, k), slow, rtol=0, atol=1e-12)
    torch.testing.assert_close(strongest(reference, 12), weight, rtol=0, atol=1e-12)
    assert not strongest(reference, 0).any()
    ranks = [kept_rank(reference, share) for share in (0.0, 1e-6, 0.5, 1.0)]
    sigma = torch.linalg.svdvals(weight)
    assert ranks == [0, 1, int((sigma.cumsum(0) / sigma.sum() < 0.5).sum()) + 1, 12]
    error = float((strongest(reference, 5) - weight).norm())
    assert error == pytest.approx(float(sigma[5:].norm()), rel=1e-10)  # Eckart-Young
    half = strongest(Reference.of(0, weight.float()), 12)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, weight.float(), rtol=0, atol=1e-4)


def test_groups_hold_equal_energy_and_all_directions_once():
    sigma = torch.linspace(2, 1, 300, dtype=torch.float64)
    groups = energy_groups(sigma, 10)
    assert [i for group in groups for i in group] == list(range(300))
    shares = [float(sigma[group.start : group.stop].sum() / sigma.sum()) for group in groups]
    assert max(abs(share - 0.1) for share in shares) < 2 / 450  # a direction more or less
    assert len(groups[0]) < len(groups[9])
    spike = energy_groups(torch.tensor([7.0, 1, 1, 1]), 10)
    assert [len(group) for group in spike] == [1, 0, 0, 0, 0, 0, 0, 1, 1, 1]


def test_a_disturbance_stays_in_its_directions_and_has_norm_one():
    weight = matrix(dtype=torch.float64)
    found = Reference.of(0, weight).spectrum
    generator = torch.Generator().manual_seed(0)
    change = disturbance(found.u, found.vh[3:6].T, generator)
    assert float(change.norm()) == pytest.approx(1, abs=1e-12)
    others = torch.cat([found.vh[:3], found.vh[6:]])
    assert float((change @ others.T).norm()) < 1e-12
    assert torch.linalg.matrix_rank(change) == 3
    output = disturbance(found.u[:, 3:6], found.vh.T, generator)
    assert float((found.u[:, [0, 1, 2, 6]].T @ output).norm()) < 1e-12
    again = disturbance(found.u, found.vh[3:6].T, torch.Generator().manual_seed(0))
    assert again.equal(change)


def test_equal_energy_per_direction_spends_as_much_in_all():
    sizes = [1, 4, 15]
    norms = [group_size(0.3, members, 20, 3) for members in sizes]
    per_direction = [norm**2 / members for norm, members in zip(norms, sizes, strict=True)]
    assert per_direction == pytest.approx([per_direction[0]] * 3)
    assert sum(norm**2 for norm in norms) == pytest.approx(3 * 0.3**2)
