import math

import pytest
import torch

from core.measures import overlap
from core.measures.overlap import key_overlap


def test_by_hand():
    past = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    keys = torch.tensor([[3.0, 0.0, 1.0], [0.0, 0.0, -1.0], [4.0, 5.0, 0.0]])
    # Cosines with the two earlier keys: (.6, 0), (0, 0), (.707, -.707).
    assert key_overlap(keys, past) == pytest.approx((0.6 + 0 + math.sqrt(0.5)) / 3, rel=1e-6)
    assert key_overlap(past, past) == 1.0
    assert key_overlap(keys, past[:, :0]) is None
    assert key_overlap(keys[:, :0], past) is None


def test_chunks_change_nothing(monkeypatch):
    torch.manual_seed(0)
    keys, past = torch.randn(20, 7, dtype=torch.float64), torch.randn(20, 50, dtype=torch.float64)
    whole = key_overlap(keys, past)
    slow = [max(abs(float(k @ p / (k.norm() * p.norm()))) for p in past.T) for k in keys.T]
    assert whole == pytest.approx(sum(slow) / 7, rel=1e-12)
    monkeypatch.setattr(overlap, "CHUNK", 3)
    assert key_overlap(keys, past) == pytest.approx(whole, rel=1e-12)
