import math

import pytest
import torch

from core.measures.studies.angles import EDITED, RANDOM, TURNED, Angles
from tests.measures.studies.checks import well_formed


@pytest.fixture(scope="module")
def found(plain_case):
    return Angles(tau=0.3).run(plain_case, [0, 1, 3])


def rows(table, **wanted):
    return [row for row in table if all(row[name] == value for name, value in wanted.items())]


def test_angles_and_similarities_equal_dense_ones(found, plain_case):
    from scipy.linalg import subspace_angles

    well_formed(found)
    before, after = plain_case.lm.original(2), plain_case.matrix(3, 2)
    u0, sigma0, vh0 = torch.linalg.svd(before, full_matrices=False)
    u, sigma, vh = torch.linalg.svd(after, full_matrices=False)
    k = int((sigma0.cumsum(0) / sigma0.sum() < 0.3).sum()) + 1
    for side, a, b in (("input", vh[:k].T, vh0[:k].T), ("output", u[:, :k], u0[:, :k])):
        expected = sorted(subspace_angles(a.numpy(), b.numpy()))
        drawn = rows(found.tables["angles"], round=3, where=f"layer 2, {side} side")
        assert [row["degrees"] for row in drawn] == pytest.approx([math.degrees(x) for x in expected], abs=1e-6)
    for t in (1, 3):  # a heat map for every round
        heat = rows(found.tables["similarity"], where=f"round {t}, layer 2, input side")
        dense = (torch.linalg.svd(plain_case.matrix(t, 2), full_matrices=False)[2][:k] @ vh0.T).abs()
        assert [row["value"] for row in heat] == pytest.approx(dense.flatten().tolist(), abs=1e-9)
        assert {row["largest_of"] for row in heat} == {1}
    assert "every similarity of the first k" in found.protocol
    (row,) = rows(found.tables["layers"], round=3, layer=2, weight=EDITED)
    assert row["condition"] == pytest.approx(float(sigma[0] / sigma[-1]), rel=1e-9)
    assert row["counted"] == len(sigma)
    assert row["overlap_left"] == pytest.approx(float((u[:, :k].T @ u0[:, :k]).square().sum()) / k, abs=1e-9)


def test_a_turn_keeps_norm_and_condition_and_moves_the_rest(found, plain_case):
    for layer in (1, 2):
        (base,) = rows(found.tables["layers"], round=0, layer=layer, weight=EDITED)
        (edited,) = rows(found.tables["layers"], round=3, layer=layer, weight=EDITED)
        (turned,) = rows(found.tables["layers"], round=3, layer=layer, weight=TURNED)
        (random,) = rows(found.tables["layers"], round=3, layer=layer, weight=RANDOM)
        for control in (turned, random):
            for name in ("frobenius", "spectral", "condition"):
                assert control[name] == pytest.approx(base[name], rel=1e-9)
            assert control["ss_right"] == pytest.approx(1)  # Q W_0 keeps the input directions
            assert control["angle_right"] < 1e-4
        assert turned["change"] == pytest.approx(edited["change"], rel=1e-6)
        assert base["ls"] == pytest.approx(1)
        assert random["ls"] < 0.5
        assert random["overlap_left"] < 3 * random["chance_left"]


def test_large_heat_maps_are_binned_and_say_so(plain_case):
    found = Angles(tau=0.9, cells=1000).run(plain_case, [3, 1])
    heat = rows(found.tables["similarity"], where="round 3, layer 1, output side")
    k = rows(found.tables["layers"], layer=1, weight=EDITED)[0]["k"]
    assert k * 32 > 500
    assert sum(row["largest_of"] for row in heat) == k * 32
    assert max(row["largest_of"] for row in heat) > 1
    assert "8 are binned (0 are not)" in found.protocol


def test_nothing_edited(null_case):
    found = Angles(tau=0.3).run(null_case, [3])
    assert max(row["degrees"] for row in found.tables["angles"]) < 1e-5
    for row in rows(found.tables["layers"], weight=EDITED) + rows(found.tables["layers"], weight=TURNED):
        assert row["ls"] == pytest.approx(1)
        assert row["change"] < 1e-12


def test_turning_the_input_side_and_a_cutoff_of_ones_own(plain_case):
    found = Angles(tau=0.3, turn="both", cutoff=0.5).run(plain_case, [2])
    kinds = {row["weight"] for row in found.tables["layers"]}
    assert kinds == {EDITED, *(f"{what}, {side} side" for what in (TURNED, RANDOM) for side in ("output", "input"))}
    (random,) = rows(found.tables["layers"], layer=1, weight=f"{RANDOM}, input side")
    assert random["ss_left"] == pytest.approx(1)
    assert random["ss_right"] < 0.9
    sigma = torch.linalg.svdvals(plain_case.lm.original(1))
    counted = sigma[sigma > 0.5 * sigma[0]]
    assert random["counted"] == len(counted)
    assert random["condition"] == pytest.approx(float(sigma[0] / counted[-1]))
    assert "above 0.5 of σ_1" in found.protocol


def test_the_numerical_rank_stands_apart_from_the_condition(found, plain_case):
    eps = torch.finfo(plain_case.lm.original(1).dtype).eps
    for row in found.tables["layers"]:
        assert row["numerical_rank"] == row["counted"] == 32
        assert row["rank_tolerance"] == 80 * eps
    assert "all singular values" in found.protocol


def test_the_time_is_estimated_before(case):
    assert 0 < Angles().seconds(case, [1]) < Angles(turn="both").seconds(case, [1]) < 20
