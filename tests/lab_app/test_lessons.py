"""What lessons say of runs that show their effect, and of runs that do not."""

from __future__ import annotations

from typing import Any

import pytest

from core.facts.readers.pocket import PocketWorld
from core.paths import ASSETS
from core.runs.opened.catalogue import built
from core.runs.progress.events import Measured, Started
from core.runs.spec.run_spec import RunSpec
from lab_app.lessons import collapse, guard, lessons, lookup, misleading, one_edit, spectrum
from lab_app.lessons.lesson import STUDIED, Choice, clearly, crossing
from lab_app.lessons.markup import article

Events = list[dict[str, Any]]


def told(lane: str, number: int, intervals: dict[str, list[float]] | None = None, **scores: float) -> dict[str, Any]:
    words = [{"prompt": "The capital of France is", "after": "Rome. It", "before": "Paris"}] if number else []
    return Measured(lane=lane, round=number, scores=scores, intervals=intervals or {}, words=words).as_dict()


def found(**tables: list[dict[str, Any]]) -> dict[str, Any]:
    return {"kind": STUDIED, "tables": tables}


# -- all of them


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.key)
def test_a_lesson_is_a_run_that_can_be_started(lesson):
    world = PocketWorld.load(ASSETS / "pocket" / "world")
    for seed in (0, 1, 7):
        spec = RunSpec.from_dict(lesson.spec(seed, world)).as_dict()
        assert lesson.fits(spec)
        assert not any(other.fits(spec) for other in lessons() if other is not lesson)
    assert lesson.spec(0, world) != lesson.spec(1, world)
    if lesson.study:
        built(lesson.study.name, lesson.study.options)


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.key)
def test_nothing_is_said_before_something_is_measured(lesson):
    assert lesson.seen([]).sentences == []
    start = Started(lanes=[{"label": "MEMIT"}], rounds=1, facts=1, layers={}, model={}, versions={}).as_dict()
    seen = lesson.seen([start, told("MEMIT", 0, unedited_recall=1.0, edits=0)])
    assert seen.sentences == []
    assert seen.outcome is None


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.key)
def test_texts_are_text(lesson):
    made = article(lesson, 1, 5)
    assert made.count("<math") == 1
    assert lesson.title in made
    assert all(name for name, _ in lesson.series)


def test_numbers_that_chance_explains_are_not_told_apart():
    assert clearly((0.5, 0.45, 0.55), (0.4, 0.36, 0.44)) == 1  # .1 against √(.05² + .04²) = .064
    assert clearly((0.4, 0.36, 0.44), (0.5, 0.45, 0.55)) == -1
    assert clearly((0.5, 0.45, 0.55), (0.44, 0.40, 0.48)) == 0
    assert clearly((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)) == 0


def test_a_level_is_crossed_between_two_points():
    assert crossing([(0, 1.0), (100, 0.8), (200, 0.4)], 0.5) == pytest.approx(175)
    assert crossing([(0, 1.0), (100, 0.8)], 0.5) is None
    assert crossing([(100, 0.3), (200, 0.2)], 0.5) == 100
    assert crossing([], 0.5) is None


# -- 1: one edit


def one(exact: float, changed: dict[str, int], neighbors: float = 1.0) -> Events:
    counts = [{"tie": tie, "facts": 50, "changed": n, "share": n / 50} for tie, n in changed.items()]
    rows = [{"prompt": "The capital of Italy is", "before": "Rome", "after": "Paris"}] * sum(changed.values())
    before = told("MEMIT", 0, efficacy_exact=0.0, paraphrase_exact=0.0, neighborhood_exact=1.0)
    after = told("MEMIT", 1, efficacy_exact=exact, paraphrase_exact=exact / 2, neighborhood_exact=neighbors)
    return [before, after, found(counts=counts, changed=rows)]


def test_an_edit_that_moves_nothing_else():
    seen = one_edit.seen(one(1.0, {"same object": 0, "same relation": 0, "unrelated": 0}))
    assert seen.outcome.value == "none"
    assert "now says “Rome”: the edit was learned, and 50 %" in seen.sentences[0]
    assert "Nothing else moved" in seen.sentences[1]
    assert "all 150 answers" in seen.sentences[1]
    assert len(seen.sentences) == 2


@pytest.mark.parametrize(
    ("changed", "neighbors", "value"),
    [
        ({"same object": 0, "same relation": 3, "unrelated": 0}, 1.0, "kin"),
        ({"same object": 0, "same relation": 3, "unrelated": 1}, 1.0, "all"),
        ({"same object": 0, "same relation": 0, "unrelated": 0}, 0.5, "subject"),
    ],
)
def test_how_far_an_edit_reached(changed, neighbors, value):
    seen = one_edit.seen(one(1.0, changed, neighbors))
    assert seen.outcome.value == value
    assert value in dict(one_edit.LESSON.predict.options)
    assert "Other answers moved too" in seen.sentences[1]
    if sum(changed.values()):
        assert "3 of 50 of the same kind" in seen.sentences[1]
        assert "“The capital of Italy is” was “Rome” and is “Paris”" in seen.sentences[2]


def test_an_edit_that_was_not_learned():
    seen = one_edit.seen(one(0.0, {"unrelated": 0}))
    assert "not learned" in seen.sentences[0]
    assert "follow" not in seen.sentences[0]


# -- 2: collapse


def long(unedited: list[float], tasks: list[float], exact: list[float]) -> Events:
    events = [told("MEMIT", 0, edits=0, unedited_recall=unedited[0], task_mean=tasks[0], neighborhood_exact=1.0)]
    for number, (a, b, c) in enumerate(zip(unedited[1:], tasks[1:], exact, strict=True), start=1):
        scores = {"unedited_recall": a, "task_mean": b, "efficacy_exact": c, "neighborhood_exact": a}
        events.append(told("MEMIT", 2 * number, edits=200 * number, **scores))
    return events


def test_a_collapse_is_dated():
    seen = collapse.seen(long([1.0, 0.9, 0.6, 0.2], [1.0, 1.0, 0.99, 0.5], [1.0, 1.0, 0.9]))
    assert seen.outcome.value == pytest.approx(20)
    assert "After 200 edits 100 % of them were answered as edited, and 90 %" in seen.sentences[0]
    assert "lost by about 450 edits, while more than half of the edited facts" in seen.sentences[1]  # .6 → .2
    assert "later than the unedited facts" in seen.sentences[2]
    assert {row["what"] for row in seen.rows} == {name for name, _ in collapse.LESSON.series}
    assert not [row for row in seen.rows if row["what"] == "edited facts" and row["edits"] == 0]


def test_no_collapse_is_said_to_be_none():
    seen = collapse.seen(long([1.0, 1.0, 0.99], [1.0, 1.0, 1.0], [1.0, 1.0]))
    assert seen.sentences[1].startswith("No collapse in this run: after 400 edits, 99 %")
    assert seen.sentences[2].endswith("they held throughout.")
    seen = collapse.seen(long([1.0, 0.9, 0.7], [1.0, 1.0, 0.99], [1.0, 1.0]))
    assert "no collapse in this run" in seen.sentences[1]
    assert "unlike the facts" in seen.sentences[2]


def test_edited_facts_may_be_lost_too():
    seen = collapse.seen(long([1.0, 0.9, 0.1], [1.0, 1.0, 0.5], [1.0, 0.0]))
    assert "half of the edited ones by about 300" in seen.sentences[1]


# -- 3: the spectrum


def cut(facts: dict[int, float], tasks: dict[int, float], groups: list[tuple[float, float, float]]) -> Events:
    kept = [
        {"task": task, "percent": float(n), "directions": n / 200, "score": s, "relative": s}
        for task, scores in (("true facts", facts), ("mean", tasks), ("arithmetic", tasks))
        for n, s in scores.items()
    ]
    hurt = [
        {"how": f"input side, {how}", "size": "ε = 1", "group": i, "task": "true facts"}
        | {"relative": mid * scale, "low": low * scale, "high": high * scale}
        for how, scale in (("equal norm", 1), ("equal per direction", 0.5))
        for i, (mid, low, high) in enumerate(groups, start=1)
    ]
    return [found(reconstruction=kept, perturbation_tasks=hurt)]


def test_abilities_in_the_strongest_directions():
    groups = [(0.1, 0.05, 0.15), (0.5, 0.4, 0.6), (0.9, 0.85, 0.95)]
    seen = spectrum.seen(cut({10: 0.55, 20: 0.97, 100: 1.0}, {10: 0.99, 20: 1.0, 100: 1.0}, groups))
    assert seen.outcome.value == pytest.approx(55)
    assert "hold 10 % of the singular energy, 5 % of all, keep 55 % of the true facts and 99 %" in seen.sentences[0]
    assert "the true facts need the top 20 % and the eight tasks need the top 10 %" in seen.sentences[1]
    assert "where a disturbance as large as the weights is put" in seen.sentences[2]
    assert "in the strongest fifth of the energy it leaves 10 % of the true facts, in fifth 3 90 %" in seen.sentences[2]
    assert [row["share"] for row in seen.rows if row["table"] == "hurt"] == [0.1, 0.5, 0.9]  # of one kind alone
    assert {row["what"] for row in seen.rows} == {name for name, _ in spectrum.LESSON.series}


def test_abilities_all_over_the_spectrum():
    seen = spectrum.seen(cut({10: 0.1, 100: 1.0}, {10: 0.4, 100: 1.0}, [(0.8, 0.7, 0.9), (0.85, 0.75, 0.95)]))
    assert seen.outcome.value == pytest.approx(10)
    assert "for true facts no cut that was tried is free" in seen.sentences[1]
    assert "does not show" in seen.sentences[2]


def test_abilities_that_do_not_need_these_matrices():
    seen = spectrum.seen(cut({0: 0.2, 10: 0.6, 100: 1.0}, {0: 0.96, 10: 0.98, 100: 1.0}, [(0.8, 0.7, 0.9)] * 2))
    assert "for true facts no cut that was tried is free and the eight tasks need none of these" in seen.sentences[1]
    assert [row["percent"] for row in seen.rows if row["table"] == "kept"][:2] == [0, 10]


# -- 4: the guard


def guarded(
    plain: float, revive: float, strict: float, smaller: float, half: float = 0.02, said: float = 0.95
) -> Events:
    """What four lanes kept after round 6; `said`: of the edits by the last of them, the others say .95."""
    events = []
    for lane, kept in zip(guard.LANES, (plain, revive, strict, smaller), strict=True):
        exact = said if lane == guard.SMALLER else 0.95
        sure = {"unedited_recall": [kept - half, kept + half], "efficacy_exact": [exact - 0.02, exact + 0.02]}
        events.append(told(lane, 0, edits=0, unedited_recall=1.0))
        scores = {"unedited_recall": kept, "efficacy_exact": exact, "neighborhood": kept}
        events.append(told(lane, 6, sure, edits=600, **scores))
    return events


@pytest.mark.parametrize(
    ("kept", "value", "says"),
    [
        ((0.8, 0.95, 0.97, 0.81), "direction", "it is the direction that helps"),
        ((0.8, 0.95, 0.97, 0.95), "size", "it is the smaller size that explains the gain"),
        ((0.8, 0.81, 0.8, 0.9), "neither", "gained nothing that the direction could explain"),
        ((0.8, 0.7, 0.8, 0.8), "neither", "gained nothing"),
        ((0.80, 0.835, 0.84, 0.8175), None, "More facts, or another factor, may tell"),
    ],
)
def test_direction_or_size(kept, value, says):
    seen = guard.seen(guarded(*kept))
    assert seen.outcome.value == value
    assert says in " ".join(seen.sentences)
    assert value is None or value in dict(guard.LESSON.predict.options)
    assert len(seen.rows) == 12


def test_what_is_kept_counts_beside_what_is_said():
    as_much, less = (0.8, 0.95, 0.97, 0.95), (0.8, 0.95, 0.97, 0.81)
    assert guard.seen(guarded(*as_much, said=0.6)).outcome.value is None  # kept, but the edits are not there
    assert guard.seen(guarded(*less, said=0.99)).outcome.value is None  # not kept, but more is said
    assert guard.seen(guarded(*less, said=0.6)).outcome.value == "direction"


def test_a_gain_within_chance_is_no_gain():
    seen = guard.seen(guarded(0.8, 0.83, 0.85, 0.8, half=0.05))
    assert "a difference that chance explains" in seen.sentences[0]
    assert seen.outcome.value == "neither"


def test_lanes_are_compared_at_the_same_round():
    events = guarded(0.8, 0.95, 0.97, 0.81)
    early = [event for event in events if not (event["lane"] == guard.SMALLER and event["round"] == 6)]
    assert guard.seen(early).sentences == []  # it has no measured round yet
    between = told(guard.SMALLER, 3, edits=300, unedited_recall=0.99)
    assert guard.seen([*early, between]).sentences == []  # the others have no row of round 3 here


# -- 5: R_k


def values(edited: float, other: float, wrong: float, null: float = 0.0, over: float = 0.95) -> Events:
    def row(what: str, median: float, most: float, share: float, top: float) -> dict[str, Any]:
        return {"layer": 4, "what": what, "rk_median": median, "rk_max": most, "rk_over_1": share, "rk_top_share": top}

    summary = [
        row("null edit", null, null, 0.0, 0.0),
        row("other inputs, no edit", other, 1.2 * other, over, 0.01),
        row("round 1", edited, 2 * edited, 0.02, 0.02),
        row("wrong centring", edited, wrong, 0.03, 0.99),
    ]
    drawn = [{"where": "layer 4", "what": what["what"], "k": 1, "rk": what["rk_max"]} for what in summary]
    return [found(summary=summary, r_k=[*drawn, {"where": "layer 3", "what": "round 1", "k": 1, "rk": 9.0}])]


def test_unpaired_inputs_look_like_a_large_edit():
    seen = misleading.seen(values(edited=0.2, other=1.13, wrong=5e4))
    assert seen.outcome.value == pytest.approx(95)
    assert "R_k is 0 in every direction of layer 4" in seen.sentences[0].replace("Rₖ", "R_k")
    assert "median" in seen.sentences[1]
    assert "larger than that of true edits" in seen.sentences[1]
    assert "50,000 instead of at most 0.4, 99 % of the sum" in seen.sentences[2]
    assert [row["rk"] for row in seen.rows] == [pytest.approx(1.356), 0.4, 5e4]  # no zeros, no other layer


def test_where_the_effects_are_absent():
    seen = misleading.seen(values(edited=3.0, other=1.13, wrong=6.1, null=0.01))
    assert "not 0 but up to 0.01" in seen.sentences[0]
    assert "would not hide them" in seen.sentences[1]
    assert "changed little" in seen.sentences[2]


# -- 6: edit, or look it up


def asked_in_other_words(*shares: float, retrieved: float = 0.0) -> Events:
    """What four lanes answer after round 6; `retrieved`: of the prompts that SCR remembers."""
    events = []
    for lane, share in zip(lookup.LANES, shares, strict=True):
        said = retrieved if lane == lookup.RETRIEVE else 1.0
        scores = {"efficacy_exact": said, "paraphrase_exact": share, "neighborhood_exact": 0.9, "unedited_recall": 0.8}
        sure = {name: [value - 0.02, value + 0.02] for name, value in scores.items()}
        events += [told(lane, 0, edits=0, unedited_recall=1.0), told(lane, 6, sure, edits=300, **scores)]
    return events


def timed(**ratios: float) -> dict[str, Any]:
    return found(latency=[{"lane": lane, "ratio": r, "low": r - 0.05, "high": r + 0.05} for lane, r in ratios.items()])


@pytest.mark.parametrize(
    ("shares", "value"),
    [((0.9, 0.5, 0.4, 0.0), "edit"), ((0.5, 0.9, 0.4, 0.0), "tune"), ((0.5, 0.4, 0.3, 0.9), "store")]
    + [((0.9, 0.89, 0.4, 0.0), None)],
)
def test_the_way_that_answers_most_paraphrases(shares, value):
    seen = lookup.seen(asked_in_other_words(*shares))
    assert seen.outcome.value == value
    assert value is None or value in dict(lookup.LESSON.predict.options)
    assert f"in other words, MEMIT {100 * shares[0]:.0f} %" in seen.sentences[0]
    assert "need a second fact" not in seen.sentences[0]  # none was asked
    assert len(seen.rows) == 16


def test_a_model_that_does_not_read_is_said_not_to():
    assert "does not use it" in lookup.seen(asked_in_other_words(1, 1, 1, 0)).sentences[2]
    assert "reads it there" in lookup.seen(asked_in_other_words(1, 1, 1, 1, retrieved=0.9)).sentences[2]


def test_the_time_of_an_answer_is_told_where_it_was_measured():
    events = asked_in_other_words(0.9, 0.5, 0.4, 0.0)
    names = dict(zip(lookup.LANES, (1.0, 1.0, 1.02, 1.3), strict=True))
    assert len(lookup.seen(events).sentences) == 3
    seen = lookup.seen([*events, timed(**names)])
    assert "SCR 1.3; SCR made it clearly slower" in seen.sentences[3]
    assert "none of them" in lookup.seen([*events, timed(**dict.fromkeys(names, 1.0))]).sentences[3]
    assert [row["ratio"] for row in seen.rows if row["table"] == "seconds"] == [1.0, 1.0, 1.02, 1.3]


def test_predictions_have_a_meaning():
    for lesson in lessons():
        if isinstance(lesson.predict, Choice):
            assert len(dict(lesson.predict.options)) == len(lesson.predict.options) >= 3
