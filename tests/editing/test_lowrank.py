"""Low-rank algebra equals the dense one."""

import torch

from core.editing.linalg.lowrank import LowRank, added, total

torch.manual_seed(0)


def random(r: int) -> LowRank:
    return LowRank(torch.randn(6, r, dtype=torch.float64), torch.randn(9, r, dtype=torch.float64))


def test_it_equals_the_dense_matrix():
    a, b = random(2), random(3)
    assert a.columns == 2
    assert abs(a.inner(b) - float((a.dense() * b.dense()).sum())) < 1e-12
    assert abs(a.norm() - float(a.dense().norm())) < 1e-12
    torch.testing.assert_close(a.scaled(0.3).dense(), 0.3 * a.dense())
    torch.testing.assert_close(a.plus(b).dense(), a.dense() + b.dense())
    torch.testing.assert_close(total([a, b, a]).dense(), 2 * a.dense() + b.dense())
    weight = torch.randn(6, 9, dtype=torch.float64)
    torch.testing.assert_close(added(weight, a), weight + a.dense())
    assert a.to(torch.float32).dense().dtype == torch.float32


def test_without_removes_both_sides():
    a = random(3)
    u = torch.linalg.qr(torch.randn(6, 2, dtype=torch.float64))[0]
    v = torch.linalg.qr(torch.randn(9, 4, dtype=torch.float64))[0]
    left, right = torch.eye(6, dtype=torch.float64) - u @ u.T, torch.eye(9, dtype=torch.float64) - v @ v.T
    torch.testing.assert_close(a.without(u, v).dense(), left @ a.dense() @ right)
    assert a.without(u, v).columns == a.columns
