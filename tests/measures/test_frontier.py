import math

from core.measures.frontier import best, kept_at


def test_the_frontier_is_what_nothing_beats_in_both():
    points = [(0.9, 0.2), (0.8, 0.5), (0.7, 0.4), (0.8, 0.3), (0.1, 0.9), (0.9, 0.2)]
    assert best(points) == [True, True, False, False, True, True]


def test_lanes_are_compared_at_equal_efficacy():
    family = [(1.0, 0.2), (0.5, 0.8), (0.8, 0.5)]
    assert kept_at(family, 0.8) == 0.5
    assert math.isclose(kept_at(family, 0.9), 0.35)
    assert math.isclose(kept_at(family, 0.6), 0.7)
    assert math.isnan(kept_at(family, 0.4))
    assert math.isnan(kept_at([], 0.4))
