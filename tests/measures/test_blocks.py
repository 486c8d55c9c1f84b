import pytest
import torch

from core.editing.linalg.dominance import Dominance
from core.editing.linalg.lowrank import LowRank
from core.editing.linalg.subspace import svd
from core.measures.inside.blocks import block_energies, by_chance
from tests.measures.test_spectrum import matrix


def update(seed=0, columns=5):
    generator = torch.Generator().manual_seed(seed)
    return LowRank(torch.randn(12, columns, generator=generator), torch.randn(40, columns, generator=generator))


def test_blocks_equal_dense_projections_and_add_up():
    basis, delta = Dominance(0.3).basis(svd(matrix())), update()
    found = block_energies(delta, basis)
    outputs, inputs = basis.outputs @ basis.outputs.T, basis.inputs @ basis.inputs.T
    rest_out, rest_in = torch.eye(12).double() - outputs, torch.eye(40).double() - inputs
    dense = delta.to(torch.float64).dense()
    expected = {
        "dominant → dominant": outputs @ dense @ inputs,
        "rest → dominant": outputs @ dense @ rest_in,
        "dominant → rest": rest_out @ dense @ inputs,
        "rest → rest": rest_out @ dense @ rest_in,
    }
    assert found == pytest.approx({name: float(block.square().sum()) for name, block in expected.items()}, rel=1e-10)
    assert sum(found.values()) == pytest.approx(float(dense.square().sum()), rel=1e-12)


def test_a_guarded_update_has_nothing_in_the_dominant_blocks():
    basis, delta = Dominance(0.3).basis(svd(matrix())), update().to(torch.float64)
    found = block_energies(delta.without(basis.outputs, basis.inputs), basis)
    rest = found.pop("rest → rest")
    assert rest == pytest.approx(block_energies(delta, basis)["rest → rest"], rel=1e-12)
    assert max(found.values()) < 1e-28 * rest


def test_a_random_update_has_the_shares_of_chance():
    basis = Dominance(0.3).basis(svd(matrix()))
    expected = by_chance(basis)
    assert sum(expected.values()) == pytest.approx(1)
    totals = dict.fromkeys(expected, 0.0)
    for seed in range(300):
        found = block_energies(update(seed), basis)
        for name, value in found.items():
            totals[name] += value / sum(found.values()) / 300
    assert totals == pytest.approx(expected, abs=0.025)
