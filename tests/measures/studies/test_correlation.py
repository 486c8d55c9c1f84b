from dataclasses import replace
from statistics import fmean

import pytest
from scipy.stats import spearmanr

from core.errors import UserError
from core.measures.studies.correlation import EDITS, Correlation
from core.measures.studies.stability import Stability
from tests.measures.studies.checks import well_formed

GROWING = {1: 0.2, 2: 0.5, 3: 0.4}


@pytest.fixture(scope="module")
def scored(plain_case):
    """Scores of which one rises and falls, one falls all the way, and one never changes."""
    scores = {
        t: {"efficacy": GROWING[t], "neighborhood": 1 - t / 10, "task_mean": 0.5, "paraphrase": None} for t in GROWING
    }
    return replace(plain_case, scores=scores)


def test_rho_and_p_equal_those_of_scipy_on_the_same_r_k(scored):
    found = Correlation().run(scored, [0, 1, 2, 3])
    well_formed(found)
    drawn = Stability().run(scored, [1, 2, 3]).tables["summary"]
    medians = [fmean(row["rk_median"] for row in drawn if row["what"] == f"round {t}") for t in (1, 2, 3)]
    efficacy = [GROWING[t] for t in (1, 2, 3)]
    (row,) = [
        row
        for row in found.tables["spearman"]
        if (row["over_k"], row["over_layers"], row["score"]) == ("median", "mean", "efficacy")
    ]
    expected = spearmanr(medians, efficacy)
    assert row["n"] == 3
    assert row["rho"] == pytest.approx(expected.statistic)
    assert row["p_t"] == pytest.approx(expected.pvalue)
    assert [r["rk"] for r in found.tables["rounds"] if r["score"] == "efficacy"] == pytest.approx(medians)


def test_the_number_of_edits_is_the_control(scored):
    found = Correlation().run(scored, [1, 2, 3])
    control = {row["score"]: row for row in found.tables["spearman"] if row["over_k"] == EDITS}
    assert control["neighborhood"]["rho"] == pytest.approx(-1)
    assert control["neighborhood"]["p"] == pytest.approx(2 / 6)
    assert control["neighborhood"]["p_holm"] is None
    assert control["efficacy"]["rho"] == pytest.approx(0.5)
    assert "paraphrase" not in control  # it was not measured


def test_few_rounds_are_told_and_many_tests_corrected(scored):
    found = Correlation().run(scored, [1, 2, 3])
    tests = [row for row in found.tables["spearman"] if row["over_k"] != EDITS]
    assert len(tests) == 4 * 3 * 3
    assert "n = 3 rounds is a small sample: the smallest possible p is 0.33" in found.notes[0]
    assert "never changed" in found.notes[-1]
    counted = [row for row in tests if row["score"] != "task_mean"]
    assert all(row["p_holm"] == 1 for row in counted)  # p is at least 1/3, times 24
    assert all(row["rho"] is None for row in found.as_dict()["tables"]["spearman"] if row["score"] == "task_mean")


def test_a_null_edit_correlates_with_nothing(null_case, scored):
    found = Correlation().run(replace(null_case, scores=scored.scores), [1, 2, 3]).as_dict()
    assert all(row["rho"] is None for row in found["tables"]["spearman"] if row["over_k"] != EDITS)


def test_too_few_measured_rounds(scored):
    with pytest.raises(UserError, match="needs three measured rounds or more; of those asked for, 2 were measured"):
        Correlation().run(replace(scored, scores={1: {}, 2: {}}), [1, 2, 3])
