from dataclasses import replace

import pytest

from core.measures.study.loop import each_round, each_state
from core.recent import Recent


@pytest.fixture
def told(case):
    """The lane, none of whose states is cached, and what it reports."""
    steps = []
    return replace(case, progress=lambda *step: steps.append(step), recent=Recent()), steps


def test_each_round_is_told_before_its_work_and_the_end_after_the_last(told):
    case, steps = told
    seen = []
    for t, beat in each_round(case, [0, 2, 3]):
        seen.append((t, len(steps)))
        beat()
    assert seen == [(0, 1), (2, 3), (3, 5)]
    assert steps == [(0, 3), (0, 3), (1, 3), (1, 3), (2, 3), (2, 3), (3, 3)]


def test_a_beat_tells_its_own_round_also_later(told):
    case, steps = told
    beats = [beat for _, beat in each_round(case, [1, 2])]
    steps.clear()
    for beat in beats:
        beat()
    assert steps == [(0, 2), (1, 2)]


def test_each_state_counts_what_was_done_before_and_what_follows(told):
    case, steps = told
    found = dict(each_state(case, [1, 3], ahead=1, behind=2))
    assert steps == [(0, 0), (1, 5), (1, 5), (1, 5), (2, 5)]  # and said again before each round that is replayed
    for t in (1, 3):
        for layer in case.layers:
            assert found[t][layer].equal(case.matrix(t, layer))


def test_whoever_asked_may_stop_a_loop(case):
    def stop(done, total):
        if done == 1:
            raise KeyboardInterrupt

    rounds = each_round(replace(case, progress=stop), [1, 2, 3])
    assert next(rounds)[0] == 1
    with pytest.raises(KeyboardInterrupt):
        next(rounds)
