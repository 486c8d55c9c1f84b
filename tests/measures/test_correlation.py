import math
import random
from itertools import permutations

import numpy as np
import pytest
from scipy.stats import spearmanr

from core.measures.studies.correlation.rank_correlation import (
    holm,
    p_by_permutation,
    p_by_t,
    ranks,
    spearman,
    trimmed_mean,
)

TIED = [0.0, 0.0, 0.0, 1.0, 2.0, 2.0, 5.0, 3.0, 9.0]
OTHER = [9.0, 7.0, 7.0, 4.0, 5.0, 1.0, 3.0, 2.0, 2.0]


def test_rho_and_its_p_equal_those_of_scipy_with_ties():
    assert ranks(TIED).tolist() == [2, 2, 2, 4, 5.5, 5.5, 8, 7, 9]
    expected = spearmanr(TIED, OTHER)
    rho = spearman(TIED, OTHER)
    assert rho == pytest.approx(expected.statistic, rel=1e-12)
    assert p_by_t(rho, 9) == pytest.approx(expected.pvalue, rel=1e-10)


def test_the_papers_p_values_mean_nine_steps():
    """Seven degrees of freedom: ρ = 0.8 has p = 2 P(T₇ > 0.8 √(7/0.36)) = 0.0096."""
    assert p_by_t(0.8, 9) == pytest.approx(0.00963, abs=5e-5)


def test_few_rounds_cannot_be_significant():
    assert spearman([1, 2, 3], [4, 5, 6]) == pytest.approx(1)
    assert p_by_permutation([1, 2, 3], [4, 5, 6]) == pytest.approx(2 / 6)
    assert p_by_permutation([1, 2, 3, 4], [8, 7, 6, 5]) == pytest.approx(2 / 24)
    assert p_by_t(1.0, 3) == 0  # what the formula says of the same: hence the other one


def test_exact_p_equals_a_count_over_all_orders():
    first, second = [1.0, 2, 2, 5, 3, 7], [2.0, 1, 5, 5, 3, 9]
    limit = abs(spearman(first, second)) - 1e-9
    counts = [abs(spearman(first, order)) >= limit for order in permutations(second)]
    assert p_by_permutation(first, second) == pytest.approx(sum(counts) / len(counts))


def test_sampled_p_is_near_the_exact_one_and_repeatable():
    generator = np.random.default_rng(0)
    first = list(range(12))
    second = [x + 6 * generator.normal() for x in first]
    found = p_by_permutation(first, second, seed=1)
    assert found == p_by_permutation(first, second, seed=1)
    assert found == pytest.approx(p_by_t(spearman(first, second), 12), abs=0.02)


@pytest.mark.parametrize("flat", [[1, 1, 1, 1], [math.pi] * 4])
def test_what_never_changes_correlates_with_nothing(flat):
    assert math.isnan(spearman([1, 2, 3, 4], flat))
    assert math.isnan(p_by_permutation([1, 2, 3, 4], flat))
    assert math.isnan(p_by_t(math.nan, 4))
    assert math.isnan(p_by_t(0.5, 2))


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    found = holm([0.6, math.nan, 0.5])
    assert found[0] == found[2] == 1
    assert math.isnan(found[1])


def test_holm_keeps_false_alarms_below_the_level():
    chance = random.Random(0)
    alarms = sum(min(holm([chance.random() for _ in range(20)])) <= 0.05 for _ in range(2000))
    assert alarms / 2000 == pytest.approx(0.05, abs=0.015)


def test_trimmed_mean():
    assert trimmed_mean([100.0, *range(1, 9), -50.0]) == 4.5
    assert trimmed_mean([1.0, 2.0, 6.0]) == 3
