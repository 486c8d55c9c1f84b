"""Scores against a hand-worked example with a stub model, and against one plain pass per token."""

import math

import pytest
import torch

from core.facts.fact import Fact, Neighbor, Question
from core.measures.outside import metrics
from core.measures.outside.metrics import (
    AnswerRating,
    Query,
    about_edit,
    about_neighbors,
    about_portability,
    averaged,
    by_metric,
    counted,
    difference,
    metric_values,
    not_finite,
    rate_answers,
)
from core.models.forward import Scores

FACT = Fact(
    subject="Ada",
    prompt="{} lives in",
    target="New York City",
    truth="Rome",
    aliases=("NYC",),
    paraphrases=("The home of Ada is", "Ada has a house in"),
    neighborhood=(
        Neighbor(prompt="Tom lives in", answer="Rome"),
        Neighbor(prompt="Eve lives in", answer="New York City"),
    ),
    locality=(
        Question(prompt="who wrote The River", answer="Tom Ash", kind="unrelated"),
        Question(prompt="Ada was born in", answer="Oslo", kind="other relation", aliases=("Kristiania",)),
    ),
    portability=(Question(prompt="The state where Ada lives is", answer="New York"),),
)
# Mean log-probability per token and arg-max hits that the stub model gives to each (prompt, answer).
STUB = {
    ("Ada lives in", "New York City"): (-0.5, [1, 1, 0]),
    ("Ada lives in", "NYC"): (-2.0, [0]),
    ("Ada lives in", "Rome"): (-1.0, [0]),
    ("The home of Ada is", "New York City"): (-1.5, [1, 1, 1]),
    ("The home of Ada is", "NYC"): (-3.0, [0]),
    ("The home of Ada is", "Rome"): (-1.0, [0]),
    ("Ada has a house in", "New York City"): (-1.0, [0, 0, 0]),
    ("Ada has a house in", "NYC"): (-1.0, [1]),
    ("Ada has a house in", "Rome"): (-1.0, [0]),
    ("Tom lives in", "Rome"): (-0.1, [1]),
    ("Tom lives in", "New York City"): (-0.2, [0, 0, 0]),
    ("Eve lives in", "New York City"): (math.nan, [1, 1, 1]),
    ("who wrote The River", "Tom Ash"): (-4.0, [0, 1]),
    ("who wrote The River", "New York City"): (-3.0, [0, 1, 1]),
    ("Ada was born in", "Oslo"): (-9.0, [0]),
    ("Ada was born in", "Kristiania"): (-0.3, [1, 1]),
    ("Ada was born in", "New York City"): (-math.inf, [0, 0, 0]),
    ("The state where Ada lives is", "New York"): (-0.7, [1, 0]),
}


@pytest.fixture
def stub(lm, monkeypatch):
    """The toy's tokenizer with the stub's answers; remembers what was asked together."""
    passes = []

    def rate(_, prompts, answers, *__):
        passes.append(list(zip(prompts, answers, strict=True)))
        found = [STUB[pair] for pair in passes[-1]]
        hits = [torch.tensor(each, dtype=torch.bool) for _, each in found]
        return Scores(torch.tensor([log for log, _ in found]), hits, torch.tensor([bool(h.all()) for h in hits]), hits)

    monkeypatch.setattr(metrics, "score", rate)
    return lm, passes


def test_a_hand_worked_fact(stub):
    lm, passes = stub
    asked = [*about_edit(0, FACT), *about_neighbors(0, FACT), *about_portability(0, FACT)]
    ratings = rate_answers(lm, [pair for each in asked for pair in each.pairs])
    assert sorted(pair for each in passes for pair in each) == sorted(STUB)  # each once
    rows = {(row["kind"], row["sense"]): row for row in by_metric(asked, ratings)}
    value = {key: row["value"] for key, row in rows.items()}
    # edit: -.5 beats -1; two of three tokens; not all. paraphrases: -1.5 loses to -1, -1 ties with -1.
    assert [value["edit", sense] for sense in metrics.METRICS] == [1.0, pytest.approx(2 / 3), 0.0]
    assert [value["paraphrase", sense] for sense in metrics.METRICS] == [0.0, 1.0, 1.0]  # NYC is said in the second
    # neighbors: Tom's holds; Eve's true answer is the new object, so nothing competes, and its NaN is wrong.
    assert [value["neighborhood", sense] for sense in metrics.METRICS] == [1.0, 0.5, 0.5]
    assert rows["neighborhood", "probability"]["questions"] == 1
    assert [value["unrelated", sense] for sense in metrics.METRICS] == [0.0, 0.5, 0.0]
    # the alias is said; the new object's probability is zero: not finite, so it proves nothing.
    assert [value["other relation", sense] for sense in metrics.METRICS] == [0.0, 1.0, 1.0]
    assert ("reasoning", "probability") not in rows
    assert [value["reasoning", sense] for sense in ("tokens", "exact")] == [0.5, 0.0]
    assert not_finite(ratings) == ["2 of 18 answers had no finite probability and count as wrong"]


def test_differences_of_probabilities():
    asked = Query(0, "edit", "p", ("a", "b"), "c")
    ratings = {
        ("p", "a"): AnswerRating(-2.0, 1.0, True),
        ("p", "b"): AnswerRating(-1.0, 0.0, False),
        ("p", "c"): AnswerRating(math.nan, 1.0, True),
    }
    assert difference(asked, ratings) == math.exp(-1)
    assert difference(Query(0, "edit", "p", ("a",)), ratings) is None
    assert metric_values(asked, ratings)["probability"] == 0.0


def test_means_are_over_facts_not_questions():
    found = averaged([(0, 1.0), (0, 0.0), (0, 0.0), (0, 0.0), (1, 1.0), (2, None)])
    assert found["value"] == (0.25 + 1.0) / 2
    assert (found["facts"], found["questions"]) == (2, 5)
    assert 0.25 <= found["low"] <= found["value"] <= found["high"] <= 1.0
    assert averaged([(0, None)]) is None


def test_equals_one_pass_per_token(lm):
    """ZsRE's expansion: prompt + the first i gold tokens → token i."""
    prompt, answer = FACT.text, "Vienna and Lyon"
    head, whole = lm.encode(prompt), lm.encode(f"{prompt} {answer}")
    hits, logs = [], []
    for end in range(len(head), len(whole)):
        with torch.no_grad():
            p = lm.model(torch.tensor([whole[:end]])).logits[0, -1].softmax(0)
        hits.append(float(int(p.argmax()) == whole[end]))
        logs.append(math.log(float(p[whole[end]])))
    said_ids = lm.model(torch.tensor([head])).logits[0, -1].argmax()
    likeliest = lm.tokenizer.decode([int(said_ids)]).strip()
    beats = []
    found = rate_answers(lm, [(prompt, answer), (prompt, likeliest), ("Tom Ash is", "Rome")], lambda: beats.append(1))
    assert beats
    rated = found[prompt, answer]
    assert rated.tokens == sum(hits) / len(hits)
    assert rated.exact == all(hits)
    assert rated.logprob == pytest.approx(sum(logs) / len(logs), rel=1e-6)
    assert rated.probability == pytest.approx(math.exp(sum(logs) / len(logs)), rel=1e-6)


def test_questions_of_each_kind_are_capped():
    assert [each.kind for each in about_edit(0, FACT, 1)] == ["edit", "paraphrase"]
    assert [each.kind for each in about_neighbors(0, FACT, 1)] == ["neighborhood", "unrelated", "other relation"]
    assert about_portability(0, FACT, 0) == []


def test_the_first_answer_alone_counts_where_that_is_asked_for():
    asked = [Query(0, "edit", "p", ("a", "b"), "c"), Query(0, "edit", "q", ("d",))]
    assert counted(asked, "any") == asked
    first = counted(asked, "first")
    assert first == [Query(0, "edit", "p", ("a",), "c"), asked[1]]
    rated = {
        ("p", "a"): AnswerRating(-3.0, 0.5, False),
        ("p", "b"): AnswerRating(-1.0, 1.0, True),
        ("p", "c"): AnswerRating(-2.0, 1.0, True),
    }
    assert metric_values(asked[0], rated) == {"probability": 1.0, "tokens": 1.0, "exact": 1.0}
    assert metric_values(first[0], rated) == {"probability": 0.0, "tokens": 0.5, "exact": 0.0}
