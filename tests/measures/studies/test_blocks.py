import pytest
import torch

from core.editing.linalg.dominance import Dominance
from core.errors import UserError
from core.measures.studies.blocks import Blocks
from core.measures.study.walk import walk
from tests.measures.studies.checks import well_formed


def test_a_guarded_lane_touches_nothing_dominant(case):
    found = Blocks().run(case, [0, 1, 2, 3])
    well_formed(found)
    assert "0.2 of the original weight's" in found.protocol  # the guard's τ
    removed = found.tables["removed"]
    assert [(row["round"], row["layer"]) for row in removed] == [(t, layer) for t in (1, 2, 3) for layer in (1, 2)]
    for row in removed:
        assert 0 < row["removed_share"] < 1
        assert row["raw_touching"] == pytest.approx(row["removed_share"], abs=1e-9)
        assert row["guarded_touching"] < 1e-20
        assert row["worn_touching"] < 1e-20
        update = case.update(row["round"])
        assert row["raw_norm"] == pytest.approx(update.raw[row["layer"]].norm(), rel=1e-9)
    for row in removed[-2:]:
        change = case.matrix(3, row["layer"]) - case.lm.original(row["layer"])
        assert row["worn_norm"] == pytest.approx(float(change.norm()), rel=1e-9)


def test_a_lane_without_a_guard_is_seen_at_any_tau(plain_case):
    found = Blocks(tau=0.4).run(plain_case, [2])
    basis = Dominance(0.4).basis(plain_case.session.svd(1))
    delta = plain_case.update(2).updates[1].dense()
    rows = [row for row in found.tables["blocks"] if row["layer"] == 1]
    for what in ("raw", "guarded"):  # nothing stands between the two
        (row,) = [r for r in rows if r["update"] == what and r["block"] == "dominant → rest"]
        dense = (delta - basis.outputs @ (basis.outputs.T @ delta)) @ basis.inputs
        assert row["energy"] == pytest.approx(float(dense.square().sum()), rel=1e-9)
        assert row["share"] == pytest.approx(float(dense.square().sum() / delta.square().sum()), rel=1e-9)
    assert all(row["removed_share"] == 0 for row in found.tables["removed"])


def test_a_null_edit_has_no_energy(null_case):
    found = Blocks().run(null_case, [1, 2, 3])
    well_formed(found)
    assert all(row["energy"] == row["share"] == 0 for row in found.tables["blocks"])
    assert all(row["removed_share"] == row["worn_touching"] == 0 for row in found.tables["removed"])


def test_directions_of_the_weight_before_the_round(plain_case):
    found = Blocks(tau=0.4, basis="current").run(plain_case, [3])
    (row,) = [
        r for r in found.tables["blocks"] if r["layer"] == 1 and r["update"] == "raw" and r["block"][:4] == "rest"
    ][:1]
    before = dict(walk(plain_case, [2]))[2][1]
    u, sigma, vh = torch.linalg.svd(before, full_matrices=False)
    k = int((sigma.cumsum(0) / sigma.sum() < 0.4).sum()) + 1
    delta = plain_case.update(3).raw[1].dense()
    dense = u[:, :k].T @ (delta - delta @ vh[:k].T @ vh[:k])
    assert row["block"] == "rest → dominant"
    assert row["energy"] == pytest.approx(float(dense.square().sum()), rel=1e-8)


def test_round_zero_has_no_update(case):
    with pytest.raises(UserError, match="ask for a round after an edit"):
        Blocks().run(case, [0])
