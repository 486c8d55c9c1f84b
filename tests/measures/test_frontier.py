import math

from core.measures.outside.frontier import most_kept


def test_lanes_are_compared_at_equal_efficacy():
    family = [(1.0, 0.2), (0.5, 0.8), (0.8, 0.5), (0.8, 0.4)]
    assert most_kept(family, 0.8) == 0.5
    assert most_kept(family, 0.81) == 0.2
    assert most_kept(family, 0.1) == 0.8
    assert math.isnan(most_kept(family, 1.01))
    assert math.isnan(most_kept([], 0.4))
