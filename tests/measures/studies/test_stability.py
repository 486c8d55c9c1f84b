import math
from dataclasses import replace

import pytest
import torch

from core.errors import UserError
from core.measures.studies.stability import NULL, SINGLE, UNPAIRED, WRONG, Stability
from core.models.forward import token_activations
from tests.measures.studies.checks import well_formed


def rows(table, **wanted):
    return [row for row in table if all(row[name] == value for name, value in wanted.items())]


def states(case, t, layer):
    """Tokens of distinct prefixes but a lone BOS, at the down-projection's output, one text after the other."""
    found, seen = [], set()
    with case.lm.worn(case.weights(t)):
        for text in case.texts.drift:
            ids = case.lm.encode(text)
            for position, row in enumerate(token_activations(case.lm, [text], [layer], "down")[layer]):
                prefix = tuple(ids[: position + 1])
                if position and prefix not in seen:
                    seen.add(prefix)
                    found.append(row)
    return torch.stack(found)


@pytest.fixture(scope="module")
def found(plain_case):
    return Stability().run(plain_case, [0, 1, 3])


def test_r_k_and_norms_equal_plain_computations(found, plain_case):
    well_formed(found)
    before, after = states(plain_case, 0, 2), states(plain_case, 3, 2)
    assert f"States of {len(before)} tokens" in found.protocol
    u, sigma, _ = torch.linalg.svd((before - before.mean(0)).T, full_matrices=False)
    expected = math.sqrt(len(before)) * ((after - before) @ u).abs().mean(0) / sigma
    drawn = rows(found.tables["r_k"], where="layer 2", what="round 3")
    assert [row["k"] for row in drawn] == list(range(1, 33))
    assert [row["rk"] for row in drawn] == pytest.approx(expected.tolist(), rel=1e-6)
    (summary,) = rows(found.tables["summary"], layer=2, what="round 3")
    assert summary["rk_mean"] == pytest.approx(float(expected.mean()), rel=1e-6)
    assert summary["rk_over_1"] == float((expected > 1).double().mean())
    assert summary["norm_mean"] == pytest.approx(float((after - before).norm(dim=1).mean()), rel=1e-9)
    v = torch.linalg.svd((after - after.mean(0)).T, full_matrices=False).U
    for row in rows(found.tables["subspaces"], where="layer 2", what="round 3"):
        cosines = torch.linalg.svdvals(u[:, : row["k"]].T @ v[:, : row["k"]])
        assert row["minimum"] == pytest.approx(float(cosines.min()), abs=1e-7)


def test_controls_stand_beside(found):
    for layer in (1, 2):
        for what in (NULL, "round 0"):
            (null,) = rows(found.tables["summary"], layer=layer, what=what)
            assert null["rk_max"] == null["norm_max"] == null["rk_over_1"] == 0
            assert all(
                row["minimum"] == pytest.approx(1)
                for row in rows(found.tables["subspaces"], where=f"layer {layer}", what=what)
            )
        (unpaired,) = rows(found.tables["summary"], layer=layer, what=UNPAIRED)
        assert 0.8 < unpaired["rk_median"] < 1.5
        assert unpaired["norm_mean"] is None
        floor = rows(found.tables["subspaces"], where=f"layer {layer}", what=UNPAIRED)
        assert floor
        assert min(row["minimum"] for row in floor) < 0.9
        right, wrong = (rows(found.tables["spectra"], layer=layer, what=what)[0] for what in ("unedited", WRONG))
        assert wrong["condition"] > 100 * right["condition"]
        (exploded,) = rows(found.tables["summary"], layer=layer, what=WRONG)
        (edited,) = rows(found.tables["summary"], layer=layer, what="round 3")
        assert exploded["rk_top_share"] > 0.9 > edited["rk_top_share"]
        (single,) = rows(found.tables["spectra"], layer=layer, what=SINGLE)
        assert single["sigma_1"] == pytest.approx(right["sigma_1"], rel=1e-5)


def test_a_null_edit_moves_nothing(null_case):
    found = Stability().run(null_case, [1, 2, 3])
    for t in (1, 2, 3):
        for row in rows(found.tables["summary"], what=f"round {t}"):
            assert row["rk_max"] == row["norm_max"] == 0
        for row in rows(found.tables["subspaces"], what=f"round {t}"):
            assert row["minimum"] == row["overlap"] == pytest.approx(1)


def test_other_layers_and_too_few_tokens(plain_case):
    below = Stability(layers=(0, 3)).run(plain_case, [3])
    (low,) = rows(below.tables["summary"], layer=0, what="round 3")
    (high,) = rows(below.tables["summary"], layer=3, what="round 3")
    assert low["rk_max"] == 0  # no edit is below it
    assert high["rk_max"] > 0
    with pytest.raises(UserError, match="layers 0 to 3; asked for 4"):
        Stability(layers=(4,)).run(plain_case, [3])
    with pytest.raises(UserError, match="R_k was left out: its texts hold 10 distinct tokens"):
        Stability(tokens=10).run(plain_case, [3])
    few = Stability(tokens=40).run(replace(plain_case), [3])
    assert "40 tokens for 32 directions" in few.notes[0]
    assert "too few tokens to compare the principal directions of their two halves" in few.notes[1]
    assert not rows(few.tables["subspaces"], what=UNPAIRED)


def test_the_time_is_estimated_before(case):
    assert 0 < Stability().seconds(case, [1]) < Stability().seconds(case, [1, 2, 3]) < 20
