import pytest
import torch

from core.measures.inside.drift import factorise
from core.measures.studies.stability.subspaces import halves, perturbation, ranks_for, subspace_stability
from tests.measures.test_drift import states


def test_cosines_equal_the_singular_values_of_dense_factors():
    before, after = states(), states() + 0.4 * states(seed=1)
    u = torch.linalg.svd((before - before.mean(0)).T, full_matrices=False).U
    v = torch.linalg.svd((after - after.mean(0)).T, full_matrices=False).U
    rows = subspace_stability(factorise(before), factorise(after), [1, 3, 8])
    for row in rows:
        k = row["k"]
        cosines = torch.linalg.svdvals(u[:, :k].T @ v[:, :k])
        assert row["minimum"] == pytest.approx(float(cosines.min()), abs=1e-9)
        assert row["mean"] == pytest.approx(float(cosines.mean()), abs=1e-9)
        assert row["overlap"] == pytest.approx(float((u[:, :k].T @ v[:, :k]).square().sum()) / k, abs=1e-9)
        assert row["chance"] == k / 16
    assert rows[2]["minimum"] < 0.999


def test_nothing_edited_and_a_mere_shift():
    before = states()
    for after in (before.clone(), before + 7):  # centring takes a shift away
        for row in subspace_stability(factorise(before), factorise(after), ranks_for(16)):
            assert row["minimum"] == pytest.approx(1, abs=1e-12)
            assert row["overlap"] == pytest.approx(1, abs=1e-12)


def test_ranks_stay_below_half_of_the_width():
    assert ranks_for(4096)[-1] == 2000
    assert ranks_for(100) == [1, 2, 5, 10, 20, 50]


def test_perturbation_norms():
    before = states(50, 6)
    change = torch.zeros(50, 6, dtype=torch.float64)
    change[:, 0] = torch.arange(50, dtype=torch.float64)
    found = perturbation(change, before)
    assert found["norm_mean"] == pytest.approx(24.5)
    assert found["norm_std"] == pytest.approx((50 * 51 / 12) ** 0.5)
    assert (found["norm_min"], found["norm_max"]) == (0, 49)
    assert found["norm_relative"] == pytest.approx(24.5 / float(before.norm(dim=1).mean()))
    assert set(perturbation(torch.zeros_like(change), before).values()) == {0}


def test_halves_are_disjoint_and_repeatable():
    first, second = halves(101, seed=3)
    assert sorted([*first.tolist(), *second.tolist()]) == list(range(101))
    assert halves(101, seed=3)[0].equal(first)
    assert not halves(101, seed=4)[0].equal(first)
