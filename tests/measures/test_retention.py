import numpy as np
import pytest

from core.measures.studies.retention.cohorts import forgetting, half_life, interval, matrix

# Cohort 1 holds, then fades; cohort 2 is larger and fades faster. Cohort 2 was also asked before its edit.
OUTCOMES = {
    (1, 1): [1.0, 1.0],
    (1, 2): [1.0, 0.0],
    (1, 3): [0.0, 0.0],
    (2, 1): [0.0, 0.0, 0.0],
    (2, 2): [1.0, 1.0, 0.0],
    (2, 3): [1.0, 0.0, 0.0],
    (3, 3): [],
}


def test_matrix():
    assert [(r["cohort"], r["round"], r["age"], r["value"], r["facts"]) for r in matrix(OUTCOMES)] == [
        (1, 1, 0, 1.0, 2), (1, 2, 1, 0.5, 2), (1, 3, 2, 0.0, 2),
        (2, 1, -1, 0.0, 3), (2, 2, 0, 2 / 3, 3), (2, 3, 1, 1 / 3, 3),
    ]  # fmt: skip


def test_curve_is_over_all_facts_of_an_age():
    curve = forgetting(OUTCOMES)
    assert [(r["age"], r["value"], r["facts"], r["cohorts"]) for r in curve] == [
        (0, 4 / 5, 5, 2), (1, 2 / 5, 5, 2), (2, 0.0, 2, 1),
    ]  # fmt: skip
    assert (curve[0]["low"], curve[0]["high"]) == (pytest.approx(2 / 3), 1.0)  # one cohort or the other, resampled
    assert forgetting({}) == []


def test_half_life_by_hand():
    curve = forgetting(OUTCOMES)
    assert half_life(curve) == 1.0
    straight = [{"age": 0, "value": 0.9}, {"age": 2, "value": 0.7}, {"age": 6, "value": 0.2}]
    assert half_life(straight) == pytest.approx(2 + 4 * (0.7 - 0.45) / 0.5)
    assert half_life(straight[:2]) is None  # never falls so far
    assert half_life(straight[1:]) is None  # no age 0
    assert half_life([{"age": 0, "value": 0.0}, {"age": 1, "value": 0.0}]) is None
    assert half_life([]) is None


def test_half_life_of_an_exponential():
    curve = [{"age": age, "value": 0.8 * 2 ** (-age / 7)} for age in range(30)]
    assert half_life(curve) == pytest.approx(7.0)


def test_interval_resamples_whole_cohorts():
    same = [np.full(10, 0.0), np.full(10, 1.0)]
    assert interval(same) == (0.0, 1.0)  # two cohorts say little, however many facts they hold
    low, high = interval([np.array([0.0, 1.0] * 200)])
    assert (high - low) / 2 == pytest.approx(1.96 * 0.5 / 20, rel=0.1)
