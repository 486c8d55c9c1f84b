from dataclasses import replace

import pytest
import torch

from core.facts.fact import Question
from core.measures.config import MeasureConfig
from core.measures.outside.locality import COLUMNS, Locality
from core.measures.session import MeasureSession
from core.measures.session.moment import Moment
from core.models.tokens import answer_text

LAYERS = [1, 2]


@pytest.fixture(scope="module")
def asked(facts):
    """Facts with locality questions of two kinds, one of them with two answers; the last fact has none."""
    made = []
    for i, fact in enumerate(facts):
        other, third = facts[(i + 2) % len(facts)], facts[(i + 5) % len(facts)]
        questions = (
            Question(prompt=f"The mother of {other.subject} is", answer="Lena Marlow", kind="forgetfulness"),
            Question(prompt=f"{third.subject} works as a", answer="painter", kind="specificity", aliases=("baker",)),
            Question(prompt=f"{third.subject} speaks", answer="German", kind="specificity"),
            Question(prompt=f"{other.subject} speaks", answer="Zurich", kind="specificity"),
        )
        made.append(replace(fact, locality=questions if i < 7 else ()))
    return made


def edited(lm, size=0.5):
    generator = torch.Generator().manual_seed(3)
    return {
        layer: lm.original(layer)
        + size * lm.original(layer).std() * torch.randn(lm.original(layer).shape, generator=generator, dtype=lm.dtype)
        for layer in LAYERS
    }


def plain(lm, prompt, answer):
    """(mean log-probability, likeliest ids, wanted ids) of an answer, one token after the other by whole passes."""
    head = lm.encode(prompt)
    whole = lm.encode(answer_text(prompt, answer))
    wanted, logs, best = whole[len(head) :], [], []
    for count in range(len(head), len(whole)):
        with torch.no_grad():
            logits = lm.model(torch.tensor([whole[:count]]), use_cache=False).logits[0, -1]
        logs.append(float(logits.log_softmax(0)[whole[count]]))
        best.append(int(logits.argmax()))
    return sum(logs) / len(logs), best, wanted


def mean(values):
    return sum(values) / len(values)


def test_columns_equal_whole_passes(lm, asked):
    weights = edited(lm)
    with lm.worn(weights):
        found = Locality(lm, 2).measure(asked)
        far, rivals, near = {}, {}, {}
        for fact in asked:
            for question in (fact.locality[0], *fact.locality[1:3]) if fact.locality else ():
                far[fact.subject, question] = plain(lm, question.prompt, question.answer)
                rivals[fact.subject, question] = plain(lm, question.prompt, fact.target)
            for one in fact.neighborhood[:2]:
                near[fact.subject, one] = plain(lm, one.prompt, one.answer)
    everything = {**far, **near}
    before = {key: plain(lm, key[1].prompt, key[1].answer) for key in everything}

    def over(values):
        by_fact = {}
        for (subject, _), value in values.items():
            by_fact.setdefault(subject, []).append(value)
        return mean([mean(each) for each in by_fact.values()])

    kept = {
        key: mean([one == other for one, other in zip(now[1], before[key][1], strict=True)])
        for key, now in everything.items()
    }
    assert 0 < over(kept) < 1
    assert found["locality_kept"]["value"] == pytest.approx(over(kept))
    tokens = {key: mean([a == b for a, b in zip(now[1], now[2], strict=True)]) for key, now in far.items()}
    assert found["locality_tokens"]["value"] == pytest.approx(over(tokens))
    assert found["locality_exact"]["value"] == pytest.approx(over({key: v == 1 for key, v in tokens.items()}))
    wins = {key: now[0] > rivals[key][0] for key, now in far.items() if key[1].answer != next_target(asked, key[0])}
    assert found["locality"]["value"] == pytest.approx(over(wins))
    assert {column: found[column]["facts"] for column in COLUMNS} == {
        "locality": 7, "locality_exact": 7, "locality_tokens": 7, "locality_kept": 7,
    }  # fmt: skip


def next_target(asked, subject):
    return next(fact.target for fact in asked if fact.subject == subject)


def test_without_edits_all_is_kept(lm, asked):
    with lm.worn({layer: lm.original(layer).clone() for layer in LAYERS}):
        assert Locality(lm, 2).measure(asked)["locality_kept"]["value"] == 1


def test_what_is_not_finite_is_not_kept(lm, asked):
    broken = {1: torch.full_like(lm.original(1), torch.nan)}
    with lm.worn(broken):
        found = Locality(lm, 2).measure(asked)
    assert {column: found[column]["value"] for column in COLUMNS} == dict.fromkeys(COLUMNS, 0)


def test_the_unedited_model_is_asked_once_for_the_lanes_of_a_round(lm, asked, monkeypatch):
    from core.measures.outside import locality

    calls = []
    plainly = locality.rate_answers
    monkeypatch.setattr(
        locality, "rate_answers", lambda lm, pairs, beat: calls.append(dict(lm._wearing)) or plainly(lm, pairs)
    )
    made = Locality(lm, 2)
    for _ in range(2):
        with lm.worn(edited(lm)):
            made.measure(asked)
    assert sum(not worn for worn in calls) == 1


def test_they_are_columns_of_every_measured_round(lm, facts, asked, unedited, assets):
    config = MeasureConfig(tasks=False, maps=False, inside=False, words=0)
    session = MeasureSession(lm, asked, unedited, LAYERS, config, assets)
    found = session.measure(Moment(edited(lm), [0, 1, 2], [2], 1))
    with lm.worn(edited(lm)):
        plainly = Locality(lm, config.neighbors).measure(asked[:3], config.seed)
    for column in COLUMNS:
        assert found.scores[column] == plainly[column]["value"]
        assert found.intervals[column] == [plainly[column]["low"], plainly[column]["high"]]
    none = MeasureSession(lm, facts, unedited, LAYERS, config, assets).measure(Moment(edited(lm), [0, 7], [7], 1))
    assert [none.scores[column] for column in COLUMNS[:3]] == [None, None, None]  # undefined, not 0
    assert none.scores["locality_kept"] is not None  # of neighbors
    assert not {*COLUMNS[:3]} & {*none.intervals}
