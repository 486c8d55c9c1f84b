import math

import pytest
import torch

from core.measures.inside.key_geometry import mean_cosine, moment_rank


def test_mean_cosine_is_that_of_all_pairs_of_different_subjects():
    generator = torch.Generator().manual_seed(0)
    keys = torch.randn(7, 9, generator=generator, dtype=torch.float64) + 0.5
    subjects = ["a", "b", "a", "c", "d", "b", "e", "f", "a"]
    pairs = [
        float(torch.nn.functional.cosine_similarity(keys[:, i], keys[:, j], dim=0))
        for i in range(9)
        for j in range(9)
        if subjects[i] != subjects[j]
    ]
    assert mean_cosine(keys, subjects) == pytest.approx(sum(pairs) / len(pairs), abs=1e-10)
    assert math.isnan(mean_cosine(keys[:, :2], ["a", "a"]))
    parallel = torch.tensor([[1.0, 2.0, -3.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    assert mean_cosine(parallel, ["a", "b", "c"]) == pytest.approx((1 - 1 - 1) / 3, abs=1e-12)


def test_rank_and_condition_of_a_moment():
    generator = torch.Generator().manual_seed(1)
    basis, _ = torch.linalg.qr(torch.randn(12, 12, generator=generator, dtype=torch.float64))
    values = torch.logspace(0, -4, 12, dtype=torch.float64)
    rank, condition = moment_rank((basis * values) @ basis.T)
    assert rank == 12
    assert condition == pytest.approx(1e4, rel=1e-9)
    keys = torch.randn(12, 5, generator=generator, dtype=torch.float64)
    assert moment_rank(keys @ keys.T) == (5, math.inf)
    tiny = values.clone()
    tiny[-1] = 1e-9  # above the round-off of float64, below that of float32
    assert moment_rank((basis * tiny) @ basis.T)[0] == 12
    assert moment_rank((basis * tiny) @ basis.T, torch.float32) == (11, math.inf)
