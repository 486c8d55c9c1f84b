import math

import pytest
import torch

from core.measures.inside import key_overlap as overlap
from core.measures.inside.key_overlap import key_overlap


def slow(keys, past):
    """The same, a pair at a time."""
    best = [max(abs(float(k @ p / (k.norm() * p.norm()))) for p in past.T) for k in keys.T]
    return sum(best) / len(best)


def test_by_hand():
    past = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    keys = torch.tensor([[3.0, 0.0, 1.0], [0.0, 0.0, -1.0], [4.0, 5.0, 0.0]])
    # Cosines with the two earlier keys: (.6, 0), (0, 0), (.707, -.707).
    assert key_overlap(keys, past) == pytest.approx((0.6 + 0 + math.sqrt(0.5)) / 3, rel=1e-6)
    assert key_overlap(past, past) == 1.0
    assert key_overlap(keys, past[:, :0]) is None
    assert key_overlap(keys[:, :0], past) is None


def test_against_a_pair_at_a_time():
    torch.manual_seed(0)
    keys, past = torch.randn(20, 7, dtype=torch.float64), torch.randn(20, 50, dtype=torch.float64)
    assert key_overlap(keys, past) == pytest.approx(slow(keys, past), rel=1e-12)
    assert key_overlap(keys.float(), past) == pytest.approx(slow(keys, past), rel=1e-5)


def test_of_many_earlier_keys_some_are_compared_evenly_spread(monkeypatch):
    torch.manual_seed(0)
    keys, past = torch.randn(20, 7, dtype=torch.float64), torch.randn(20, 49, dtype=torch.float64)
    monkeypatch.setattr(overlap, "MOST", 5)
    assert key_overlap(keys, past) == pytest.approx(slow(keys, past[:, [0, 12, 24, 36, 48]]), rel=1e-12)
    assert key_overlap(keys, past[:, :5]) == pytest.approx(slow(keys, past[:, :5]), rel=1e-12)


def test_keys_that_are_nothing_or_not_finite():
    past = torch.eye(3)
    assert key_overlap(torch.zeros(3, 2), past) == 0.0
    assert key_overlap(past, torch.zeros(3, 2)) == 0.0
    assert math.isnan(key_overlap(torch.full((3, 1), math.nan), past))
