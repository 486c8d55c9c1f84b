import pytest
import torch

from core.editing.guards.rect import Rect
from core.editing.guards.revive import Revive
from core.editing.linalg.dominance import Dominance, rank_by_count, rank_by_energy
from core.editing.linalg.lowrank import LowRank
from core.editing.linalg.subspace import svd
from core.measures.inside.blocks import block_energies
from core.measures.inside.guard_sandbox import BLOCKS, by_threshold, energies_by_rank, energy, left_by_block, taken
from tests.measures.test_blocks import update
from tests.measures.test_spectrum import matrix

TAUS = [0.02, 0.1, 0.3, 0.6, 0.95]


def layers():
    """Two layers, the second with an update of full rank."""
    weights = {3: matrix(), 4: matrix() * 2 + torch.linspace(0, 1, 40, dtype=torch.float64)}
    generator = torch.Generator().manual_seed(5)
    updates = {3: update(1), 4: LowRank.full(torch.randn(12, 40, generator=generator))}
    return updates, {layer: svd(weight) for layer, weight in weights.items()}


def test_all_ranks_at_once_equal_each_rank_by_itself():
    updates, svds = layers()
    for layer, delta in updates.items():
        found, decomposition = energies_by_rank(delta, svds[layer]), svds[layer]
        for tau in TAUS:
            k = rank_by_energy(decomposition.sigma, tau)
            expected = block_energies(delta, Dominance(tau).basis(decomposition))
            assert set(found) == set(expected)
            for name, energies in found.items():
                assert float(energies[k - 1]) == pytest.approx(expected[name], rel=1e-10, abs=1e-12 * delta.norm() ** 2)


def test_with_all_directions_only_inputs_that_the_weight_does_not_read_are_rest():
    updates, svds = layers()
    found = energies_by_rank(updates[3], svds[3])
    outside = updates[3].to(torch.float64).dense()
    outside = outside - outside @ svds[3].vh.T @ svds[3].vh
    assert float(found["rest → dominant"][-1]) == pytest.approx(float(outside.square().sum()), rel=1e-10)
    assert float(found["rest → rest"][-1]) < 1e-12 * energy(updates)


@pytest.mark.parametrize("by, rank", [("energy", rank_by_energy), ("count", rank_by_count)])
def test_the_curve_is_what_the_guard_takes(by, rank):
    updates, svds = layers()
    shares, ranks = by_threshold(updates, svds, TAUS, by)
    for place, tau in enumerate(TAUS):
        acting = Revive(tau=tau, by=by)
        guarded = {
            layer: acting.apply(delta.to(torch.float64), acting.prepare(svds[layer], layer))
            for layer, delta in updates.items()
        }
        assert 1 - shares["rest → rest"][place] == pytest.approx(taken(updates, guarded), abs=1e-12)
        assert sum(shares[name][place] for name in BLOCKS) == pytest.approx(1)
        assert {layer: k[place] for layer, k in ranks.items()} == {n: rank(svds[n].sigma, tau) for n in updates}
        bases = {layer: Dominance(tau, by).basis(svds[layer]) for layer in updates}
        table = left_by_block(updates, guarded, bases)
        for name in BLOCKS:
            assert table[name]["raw"] == pytest.approx(shares[name][place], abs=1e-12)
        assert sum(row["left"] for row in table.values()) == pytest.approx(table["rest → rest"]["raw"], abs=1e-12)
        assert sum(row["chance"] for row in table.values()) == pytest.approx(1)


def test_a_guard_that_does_not_project_leaves_something_everywhere():
    updates, svds = layers()
    acting = Rect(keep=0.3)
    guarded = {layer: acting.apply(delta, svds[layer].u @ svds[layer].vh) for layer, delta in updates.items()}
    table = left_by_block(updates, guarded, {layer: Dominance(0.3).basis(svds[layer]) for layer in updates})
    kept = sum(float(delta.dense().double().square().sum()) for delta in guarded.values())
    assert sum(row["left"] for row in table.values()) == pytest.approx(kept / energy(updates), rel=1e-5)
    assert min(row["left"] for row in table.values()) > 0
    assert 0 < taken(updates, guarded) < 1


def test_of_nothing_nothing_is_taken():
    nothing = {3: LowRank(torch.zeros(12, 2), torch.ones(40, 2))}
    _, svds = layers()
    assert taken(nothing, nothing) == 0
    assert by_threshold(nothing, svds, TAUS)[0]["rest → rest"] == [0] * len(TAUS)
    table = left_by_block(nothing, nothing, {3: Dominance(0.1).basis(svds[3])})
    assert all(row["raw"] == row["left"] == 0 for row in table.values())
