"""The flag and the collapse by hand, on histories of which every number is written down."""

from dataclasses import replace

import pytest

from core.measures.warning import Limits, Signs, collapses, crossed, early_warning, first_flag, pace

BASE = Signs(round=0, perplexity=3.0, unedited_recall=0.8, change=0.0, ls=1.0, layers=5)


def lane(**columns):
    """A history from columns of equal length, rounds 0, 1, 2, …"""
    count = len(next(iter(columns.values())))
    return [Signs(round=at, **{name: values[at] for name, values in columns.items()}) for at in range(count)]


def test_a_quiet_lane_is_not_flagged():
    history = lane(
        perplexity=[3.0, 3.1, 3.3, 4.4],
        unedited_recall=[0.8, 0.8, 0.7, 0.61],
        change=[0.0, 0.5, 0.7, 0.85],
        ls=[1.0, 0.6, 0.4, 0.05],  # one inner sign alone proves nothing
    )
    assert first_flag(history) is None
    assert list(crossed(history)) == ["ls"]


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ({"perplexity": 4.5}, "1.5 times as perplexing"),
        ({"unedited_recall": 0.6}, "25% of what it knew"),
        ({"change": 2.0, "ls": 0.1}, "a layer has moved by 2 times its norm; LS has fallen to 0.1"),
    ],
)
def test_a_sign_past_its_limit(now, reason):
    flag = early_warning([BASE, replace(BASE, round=4, **now)])
    assert flag.round == 4
    assert not flag.stop
    assert reason in flag.message
    assert flag.message.startswith("After round 4 the model is on its way to collapse: ")


def test_layers_that_no_round_edited_do_not_hide_the_others():
    edited = [{"change": 0.5, "ls": 0.06}, {"change": 0.7, "ls": 0.1}]
    assert Signs.of(1, {}, [*edited, {"change": 0.0, "ls": 1.0}, {"change": 0.0, "ls": 1.0}]).ls == pytest.approx(0.08)
    assert Signs.of(0, {}, [{"change": 0.0, "ls": 1.0}] * 2).ls == 1.0


def test_just_short_of_the_limits():
    now = replace(BASE, round=1, perplexity=4.49, unedited_recall=0.61, change=1.99, ls=0.101)
    assert early_warning([BASE, now]) is None
    assert early_warning([BASE, now], Limits(perplexity=1.4)) is not None


def test_pace_is_against_the_slowest_step_per_round():
    slowing = lane(change=[0.0, 1.0, 1.4, 1.7, 1.95])
    assert pace(slowing) == pytest.approx(0.25 / 0.3)
    assert pace(slowing[:4]) is None  # too few steps
    later = Signs(round=8, change=1.95 + 4 * 0.75)  # 4 rounds later, .75 a round
    assert pace([*slowing, later]) == pytest.approx(3.0)
    assert pace(lane(change=[0.0, 0.0, 0.0, 0.0, 1.0])) is None  # it stood still: no pace to compare
    both = replace(later, ls=0.05)
    assert "moves 3 times as fast" in early_warning([replace(slowing[0], ls=1.0), *slowing[1:], both]).message


def test_overlap_of_keys_is_against_the_first():
    history = lane(key_overlap=[None, None, 0.2, 0.25, 0.32])
    assert crossed(history) == {"key_overlap": "new keys overlap earlier ones 1.6 times as much as at first"}
    assert crossed(history[:4]) == {}


def test_numbers_that_stop_being_finite_stop_the_lane():
    for lost in ({"perplexity": None}, {"perplexity": float("nan")}, {"perplexity": float("inf")}):
        flag = early_warning([BASE, replace(BASE, round=1), replace(BASE, round=2, **lost)])
        assert flag.stop
        assert flag.message == "After round 2 the model is broken: the perplexity of held-out text is not finite."
    flag = early_warning([BASE, replace(BASE, round=1, layers=3)])
    assert flag.stop
    assert "2 layers hold numbers" in flag.message
    never = replace(BASE, perplexity=None)
    assert early_warning([never, replace(never, round=1)]) is None  # it was never measured


def test_without_round_0_nothing_is_said():
    assert early_warning([]) is None
    assert early_warning([BASE]) is None
    assert early_warning([replace(BASE, round=1), replace(BASE, round=2, perplexity=30.0)]) is None


def test_first_flag_comes_once():
    history = lane(perplexity=[3.0, 3.0, 5.0, 3.0, 9.0])
    assert first_flag(history).round == 2
    assert early_warning(history[:4]) is None
    assert early_warning(history).round == 4


def test_signs_from_the_tables_of_a_run():
    layers = [
        {"layer": 1, "change": 0.5, "ls": 0.9, "key_overlap": 0.1},
        {"layer": 2, "change": 0.7, "ls": 0.5, "key_overlap": None},
        {"layer": 3, "change": None, "ls": float("nan")},
    ]
    signs = Signs.of(4, {"perplexity": 3.5, "unedited_recall": 0.6, "task_mean": 1.0}, layers)
    assert signs == Signs(round=4, perplexity=3.5, unedited_recall=0.6, change=0.7, ls=0.7, key_overlap=0.1, layers=3)
    assert Signs.of(1, {}) == Signs(round=1)


def test_collapse_by_both_definitions():
    history = lane(unedited_recall=[0.8, 0.5, 0.4, 0.1])
    tasks = {0: 0.9, 1: 0.7, 2: 0.61, 3: 0.6}
    assert collapses(history, tasks, chance=0.3) == {"tasks": 3, "unedited": 2}  # .3 + .6 / 2; .8 / 2
    assert collapses(history, tasks, chance=0.0) == {"tasks": None, "unedited": 2}
    assert collapses(history[1:], {3: 0.1}) == {"tasks": None, "unedited": None}  # before the edits: not known
