import pytest
import torch

from core.measures.inside.similarity import binned, compare, low_rank_similarity, protected_drift
from core.measures.inside.spectrum import Reference, spectrum
from tests.measures.test_spectrum import matrix


def truncated(weight, k):
    u, sigma, vh = torch.linalg.svd(weight.double(), full_matrices=False)
    return (u[:, :k] * sigma[:k]) @ vh[:k]


def cosine(a, b):
    return float((a * b).sum() / (a.norm() * b.norm()))


@pytest.mark.parametrize(("k", "m"), [(1, 1), (4, 4), (3, 5), (12, 12)])
def test_ls_equals_dense_truncations(k, m):
    before, after = matrix(seed=0), matrix(seed=0) + 0.5 * matrix(seed=1)
    found = low_rank_similarity(spectrum(after), spectrum(before), k, m)
    assert found == pytest.approx(cosine(truncated(after, k), truncated(before, m)), abs=1e-10)


@pytest.mark.parametrize("recompute", [False, True])
def test_compare_equals_dense_computations(recompute):
    before, after = matrix(seed=0), matrix(seed=0) + 0.5 * matrix(seed=1)
    reference = Reference.of(0, before)
    found = compare(reference, after, 0.3, recompute)
    u0, sigma0, vh0 = torch.linalg.svd(before.double(), full_matrices=False)
    u, sigma, vh = torch.linalg.svd(after.double(), full_matrices=False)
    k0, own = reference.rank_at(0.3), found.row["dominant_rank"]
    k = own if recompute else k0
    assert found.row["k"] == k
    assert sigma[:own].sum() / sigma.sum() >= 0.3 > sigma[: own - 1].sum() / sigma.sum()
    torch.testing.assert_close(found.right.double(), (vh[:k] @ vh0.T).abs(), rtol=0, atol=1e-6)
    torch.testing.assert_close(found.left.double(), (u[:, :k].T @ u0).abs(), rtol=0, atol=1e-6)
    change = (after - before).double()
    expected = {
        "ls": cosine(truncated(after, k), truncated(before, k0)),
        "ss_right": float((vh[0] @ vh0.T).abs().max()),
        "ss_left_mean": float((u[:, :k].T @ u0).abs().amax(1).mean()),
        "frobenius": float(after.double().norm()),
        "spectral": float(sigma[0]),
        "condition": float(sigma[0] / sigma[-1]),
        "numerical_rank": 12,
        "rank_tolerance": 40 * torch.finfo(torch.float32).eps,
        "drift_right": float((change @ vh0[:k0].T).norm() / before.double().norm()),
        "drift_left": float((u0[:, :k0].T @ change).norm() / before.double().norm()),
        "change": float(change.norm() / before.double().norm()),
    }
    for name, value in expected.items():
        assert found.row[name] == pytest.approx(value, rel=1e-5), name


def test_nothing_edited():
    weight = matrix()
    row = compare(Reference.of(0, weight), weight.clone(), 0.3).row
    for name in ("ls", "ss_right", "ss_left", "ss_right_mean", "ss_left_mean"):
        assert row[name] == pytest.approx(1, abs=1e-6), name
    assert row["drift_right"] == row["drift_left"] == row["change"] == 0


def test_an_edit_that_explodes_does_not_hide_the_other_directions():
    """The weak directions of W_t fall below what its type can tell beside the exploded one, and are compared still."""
    weight = matrix(12, 4000)
    u, _, vh = torch.linalg.svd(weight.double(), full_matrices=False)
    aside = torch.linalg.qr(torch.cat([vh.T, matrix(4000, 1, 5, torch.float64)], 1)).Q[:, -1]
    exploded = (weight.double() + 1e6 * torch.outer(u[:, -1], aside)).float()
    found = compare(Reference.of(0, weight), exploded, 0.5)
    assert found.row["numerical_rank"] == 1
    assert found.row["condition"] > 1000
    slow = torch.linalg.svd(exploded.double(), full_matrices=False)
    k = found.row["k"]
    torch.testing.assert_close(found.right.double(), (slow.Vh[:k] @ vh.T).abs(), rtol=0, atol=1e-4)
    assert float(found.right[1].max()) > 0.99  # W_0's first direction, now the second


def test_an_edit_outside_of_the_dominant_block_leaves_it_untouched():
    """REVIVE's guarantee: (I−UUᵀ)Δ(I−VVᵀ) drifts by float32 round-off only, however large; LS falls all the same."""
    weight = matrix()
    reference = Reference.of(0, weight)
    k = reference.rank_at(0.3)
    u, _, vh = torch.linalg.svd(weight.double(), full_matrices=False)
    keep_out = torch.eye(12, dtype=torch.float64) - u[:, :k] @ u[:, :k].T
    keep_in = torch.eye(40, dtype=torch.float64) - vh[:k].T @ vh[:k]
    change = (keep_out @ (5 * matrix(seed=1, dtype=torch.float64)) @ keep_in).float()
    right, left = protected_drift(reference, weight + change, k)
    assert max(right, left) < 1e-6
    row = compare(reference, weight + change, 0.3).row
    assert row["ls"] < 0.5
    assert row["change"] > 1


def test_a_float64_lane_of_weights_works_too():
    weight = matrix(dtype=torch.float64)
    assert compare(Reference.of(0, weight), weight, 0.1).row["ls"] == pytest.approx(1, abs=1e-12)


def test_bins_keep_peaks():
    row = torch.zeros(384)
    row[[0, 57, 383]] = torch.tensor([0.5, 1.0, 0.25])
    drawn = binned(row)
    assert len(drawn["index"]) <= 48
    peaks = [pair for pair in zip(drawn["index"], drawn["value"], strict=True) if pair[1]]
    assert peaks == [(0, 0.5), (57, 1), (383, 0.25)]
    assert binned(torch.rand(5))["index"] == [0, 1, 2, 3, 4]
