import math

import pytest
import torch

from core.measures.studies.keys.fastedit_split import over_layers, split_norms


def test_split_norms_equal_those_with_a_basis_of_the_complement():
    generator = torch.Generator().manual_seed(0)
    change = torch.randn(7, 30, generator=generator, dtype=torch.float64)
    basis = torch.linalg.qr(torch.randn(30, 30, generator=generator, dtype=torch.float64)).Q
    inside, complement = basis[:, :11], basis[:, 11:]
    s, rest = split_norms(change, inside)
    assert s == pytest.approx(float((change @ inside).norm()), rel=1e-12)
    assert rest == pytest.approx(float((change @ complement).norm()), rel=1e-12)
    assert s**2 + rest**2 == pytest.approx(float(change.norm()) ** 2, rel=1e-12)
    scale = torch.linspace(2, 1, 11)
    assert split_norms(change, inside, scale)[0] == pytest.approx(float((change @ (inside * scale)).norm()), rel=1e-7)
    assert split_norms(change, inside, scale)[1] == rest
    assert split_norms(inside.T[:7] * 3, inside)[1] < 1e-13


def test_layers_join_by_squares_and_the_star_is_a_sum():
    found = over_layers([(3.0, 1.0), (4.0, 2.0)])
    assert found == pytest.approx({"s": 5, "s_bar": math.sqrt(5), "s_star": 5 + math.sqrt(5)})
