import math

import pytest
import torch

from core.measures.inside.ranks import effective_ranks, smallest


def test_equal_singular_values_have_full_rank_by_every_definition():
    found = effective_ranks(torch.full((20,), 3.0))
    assert found == pytest.approx(
        {"r_entropy": 20, "r_energy_90": 18, "r_energy_95": 19, "r_energy_99": 20, "r_above_1": 20,
         "r_participation": 20}
    )  # fmt: skip


def test_a_geometric_spectrum_has_closed_forms():
    q, n = 0.5, 60
    sigma = q ** torch.arange(n, dtype=torch.float64)
    found = effective_ranks(sigma)
    # p_i = (1−q) qⁱ: entropy −ln(1−q) − q/(1−q) ln q; Σσ² = 1/(1−q²), Σσ⁴ = 1/(1−q⁴)
    assert found["r_entropy"] == pytest.approx(math.exp(-math.log(1 - q) - q / (1 - q) * math.log(q)), rel=1e-9)
    assert found["r_participation"] == pytest.approx((1 - q**4) / (1 - q**2) ** 2, rel=1e-12)
    for share in (90, 95, 99):  # 1 − q^{2k} ≥ share
        assert found[f"r_energy_{share}"] == math.ceil(math.log(1 - share / 100) / math.log(q**2))
    assert found["r_above_1"] == 7  # 2⁻⁶ ≥ 1 % > 2⁻⁷


def test_zero_and_one_direction():
    assert effective_ranks(torch.tensor([2.0, 0.0]))["r_entropy"] == pytest.approx(1)
    assert set(effective_ranks(torch.zeros(4)).values()) == {0}
    assert smallest(torch.tensor([4.0, 2.0, 0.5])) == {
        "sigma_1": 4, "sigma_before_min": 2, "sigma_min": 0.5, "condition": 8,
    }  # fmt: skip
    assert smallest(torch.tensor([4.0, 0.0]))["condition"] == math.inf
