import math

import numpy as np
import pytest
import torch

from core.facts.fact import Fact, Neighbor
from core.measures.outside.scores import (
    Answers,
    Rated,
    bootstrap,
    intervals,
    mean,
    recall,
    score_facts,
    share_interval,
    spread_sample,
    summarise,
)


def rated_alone(lm, prompt, answer):
    """(mean log-probability per answer token, all tokens the likeliest) from one full softmax per token."""
    head = lm.tokenizer(prompt)["input_ids"]
    whole = lm.tokenizer(f"{prompt} {answer}")["input_ids"]
    logs, hits = [], []
    for end in range(len(head), len(whole)):
        with torch.no_grad():
            p = lm.model(torch.tensor([whole[:end]])).logits[0, -1].double().softmax(0)
        logs.append(math.log(float(p[whole[end]])))
        hits.append(int(p.argmax()) == whole[end])
    return sum(logs) / len(logs), all(hits)


def expected(lm, fact, paraphrases, neighbors):
    """The six columns by the plainest route."""

    def prob(prompt, wanted, other):
        return float(rated_alone(lm, prompt, wanted)[0] > rated_alone(lm, prompt, other)[0])

    def exact(prompt, wanted):
        return float(rated_alone(lm, prompt, wanted)[1])

    texts, near = fact.paraphrases[:paraphrases], fact.neighborhood[:neighbors]
    compared = [n for n in near if n.answer != fact.target]
    average = lambda values: sum(values) / len(values) if values else None  # noqa: E731
    return {
        "efficacy": prob(fact.text, fact.target, fact.truth) if fact.truth else None,
        "efficacy_exact": exact(fact.text, fact.target),
        "paraphrase": average([prob(t, fact.target, fact.truth) for t in texts]) if fact.truth else None,
        "paraphrase_exact": average([exact(t, fact.target) for t in texts]),
        "neighborhood": average([prob(n.prompt, n.answer, fact.target) for n in compared]),
        "neighborhood_exact": average([exact(n.prompt, n.answer) for n in near]),
    }


@pytest.mark.parametrize("family", ["lm", "lm32"])
def test_equals_one_answer_at_a_time(family, request, facts):
    lm = request.getfixturevalue(family)
    rows = score_facts(Answers(lm), facts, 2, 2)
    for fact, row in zip(facts, rows, strict=True):
        assert row == expected(lm, fact, 2, 2)
    assert len({row["efficacy"] for row in rows}) > 1  # the toy tells answers apart


def test_exact_finds_what_the_model_would_say(lm, facts):
    said = facts[0].text
    ids = lm.encode(said)
    with torch.no_grad():
        best = int(lm.model(torch.tensor([ids])).logits[0, -1].argmax())
    word = lm.tokenizer.decode([best])
    rated = Answers(lm).rate([(said, word.strip() or "x")])[0]
    assert rated.exact == rated_alone(lm, said, word.strip() or "x")[1]
    known = Answers(lm, known={(said, "Paris"): Rated(-1.0, True), (said, "Rome"): Rated(-2.0, False)})
    fact = Fact(subject="Ada Marlow", prompt="{} was born in", target="Paris", truth="Rome")
    assert score_facts(known, [fact])[0] == {
        "efficacy": 1, "efficacy_exact": 1, "paraphrase": None, "paraphrase_exact": None, "neighborhood": None,
        "neighborhood_exact": None,
    }  # fmt: skip
    assert recall(known, [fact]) == [1.0]


def test_ties_and_nan_count_zero(lm):
    fact = Fact(
        subject="Ada",
        prompt="{} is",
        target="new",
        truth="old",
        neighborhood=(Neighbor(prompt="Tom is", answer="true"),),
    )
    for first, second in ((-1.0, -1.0), (math.nan, -1.0), (-1.0, math.nan)):
        known = {
            ("Ada is", "new"): Rated(first, False),
            ("Ada is", "old"): Rated(second, False),
            ("Tom is", "true"): Rated(first, False),
            ("Tom is", "new"): Rated(second, False),
        }
        answers = Answers(lm, known=known)
        row = score_facts(answers, [fact])[0]
        assert (row["efficacy"], row["neighborhood"]) == (0, 0)
        assert answers.not_numbers == (0 if first == second else 2)


def test_caps_direct_only_and_facts_that_lack_questions(lm, facts):
    answers = Answers(lm)
    (row,) = score_facts(answers, facts[:1], direct_only=True)
    assert row["efficacy"] is not None
    assert row["paraphrase"] is row["neighborhood"] is None
    assert len(answers.known) == 2  # nothing else was run
    bare = score_facts(answers, facts[-1:])[0]
    assert [name for name, value in bare.items() if value is not None] == ["efficacy_exact"]


def test_every_pair_runs_once_and_heartbeats_come_between(lm, facts, monkeypatch):
    asked = []
    from core.measures.outside import scores

    plain = scores.score

    def noted(lm, prompts, answers, *rest):
        asked.extend(zip(prompts, answers, strict=True))
        return plain(lm, prompts, answers, *rest)

    monkeypatch.setattr(scores, "score", noted)
    monkeypatch.setattr(scores, "CPU_PASS", 32)
    beats = []
    answers = Answers(lm, lambda: beats.append(1))
    first = score_facts(answers, facts, 2, 2)
    assert score_facts(answers, facts, 2, 2) == first
    assert len(asked) == len(set(asked))
    assert len(beats) > 3


def test_summary_averages_facts_that_have_the_question():
    rows = [
        {"efficacy": 1.0, "paraphrase": 0.5, "neighborhood": None, "efficacy_exact": 0.0, "paraphrase_exact": None,
         "neighborhood_exact": 1.0},
        {"efficacy": 0.0, "paraphrase": None, "neighborhood": None, "efficacy_exact": 1.0, "paraphrase_exact": None,
         "neighborhood_exact": 0.5},
    ]  # fmt: skip
    assert summarise(rows) == {
        "efficacy": 0.5, "paraphrase": 0.5, "neighborhood": None, "efficacy_exact": 0.5, "paraphrase_exact": None,
        "neighborhood_exact": 0.75,
    }  # fmt: skip
    assert set(intervals(rows)) == {"efficacy", "paraphrase", "efficacy_exact", "neighborhood_exact"}
    assert mean([]) is None


@pytest.mark.parametrize("n", [1, 7, 200])
def test_n_of_n_is_an_interval_and_not_a_point(n):
    """Wilson's score interval in its usual form, at a share of 1 and of 0."""
    z, p = 1.959964, 1.0
    centre, half = (p + z**2 / (2 * n)) / (1 + z**2 / n), z * math.sqrt(z**2 / (4 * n**2)) / (1 + z**2 / n)
    assert share_interval([1.0] * n) == (pytest.approx(centre - half), 1)
    assert share_interval([0.0] * n) == (0, pytest.approx(1 - centre + half))
    mixed = [1.0] * n + [0.5]
    assert share_interval(mixed, 3) == bootstrap(mixed, 3)


def test_bootstrap_covers_like_the_normal_interval():
    values = np.random.default_rng(0).binomial(1, 0.3, 400).astype(float).tolist()
    low, high = bootstrap(values, draws=4000)
    half = 1.96 * math.sqrt(0.3 * 0.7 / 400)
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)
    assert low < sum(values) / 400 < high
    assert bootstrap(values) == bootstrap(values)
    assert bootstrap([1.0, 1.0]) == (1, 1)


def test_samples_are_spread_over_the_order_and_repeatable():
    items = list(range(1000, 2000))
    chosen = spread_sample(items, 10, seed=3)
    assert chosen == spread_sample(items, 10, seed=3)
    assert chosen != spread_sample(items, 10, seed=4)
    assert [(item - 1000) // 100 for item in chosen] == list(range(10))
    assert spread_sample(items, None, 0) == spread_sample(items, 5000, 0) == items
