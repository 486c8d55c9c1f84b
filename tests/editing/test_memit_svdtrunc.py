"""The truncation surrogate against a full decomposition."""

import pytest
import torch

from core.editing.linalg.lowrank import LowRank
from core.editing.methods.memit import Memit
from core.editing.methods.memit_svdtrunc import MemitSvdTrunc, truncated
from tests.editing.algebra import KEYS, RESIDUAL, context, random


@pytest.mark.parametrize("squares", [True, False])
@pytest.mark.parametrize("share", [0.3, 0.8, 1.0])
def test_the_leading_part_holds_its_share(share, squares):
    delta = LowRank(random(9, 5, seed=1), random(12, 5, seed=2))
    found = truncated(delta, share, squares)
    u, sigma, vh = torch.linalg.svd(delta.dense(), full_matrices=False)
    energy = (sigma**2 if squares else sigma)[:5]
    k = 1
    while k < 5 and float(energy[:k].sum() / energy.sum()) < share - 1e-12:
        k += 1
    assert found.columns == k
    torch.testing.assert_close(found.dense(), (u[:, :k] * sigma[:k]) @ vh[:k], rtol=1e-10, atol=1e-11)


def test_it_is_memit_truncated():
    whole = Memit(lambda_=1.0).update(KEYS, RESIDUAL, context())
    found = MemitSvdTrunc(lambda_=1.0, energy=0.7).update(KEYS, RESIDUAL, context())
    torch.testing.assert_close(found.dense(), truncated(whole, 0.7).dense())
    everything = MemitSvdTrunc(lambda_=1.0, energy=1.0).update(KEYS, RESIDUAL, context())
    torch.testing.assert_close(everything.dense(), whole.dense(), rtol=1e-9, atol=1e-11)
    assert truncated(LowRank(torch.zeros(4, 2), torch.zeros(5, 2)), 0.5).norm() == 0
