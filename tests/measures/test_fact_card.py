import math

import pytest
import torch

from core.editing.lane.state import LaneState, LayerUpdates
from core.editing.linalg.lowrank import LowRank
from core.facts.fact import Fact, Neighbor, Question
from core.measures.outside.fact_card import MOST, applied, as_rows, questions, rated

FACT = Fact(
    subject="France",
    prompt="The capital of {} is",
    target="Rome",
    truth="Paris",
    paraphrases=("France, whose capital is",) * 9,
    neighborhood=(
        Neighbor(prompt="The capital of Italy is", answer="Rome"),
        Neighbor(prompt="A city is", answer="Paris"),
    ),
    portability=(Question(prompt="The river of the capital of France is", answer="Rome"),),
)


def alone(lm, prompt, answer):
    """(probability as a geometric mean, all tokens the likeliest) from one full softmax per token."""
    head, whole = (lm.tokenizer(text)["input_ids"] for text in (prompt, f"{prompt} {answer}"))
    logs, hits = [], []
    for end in range(len(head), len(whole)):
        with torch.no_grad():
            p = lm.model(torch.tensor([whole[:end]])).logits[0, -1].double().softmax(0)
        logs.append(math.log(float(p[whole[end]])))
        hits.append(int(p.argmax()) == whole[end])
    return math.exp(sum(logs) / len(logs)), all(hits)


def test_what_is_asked_of_a_fact():
    asked = questions(FACT)
    kinds = [one.kind for one in asked]
    assert kinds == ["edit", *["paraphrase"] * MOST["paraphrase"], "neighbor", "neighbor", "portability"]
    assert (asked[0].prompt, asked[0].target, asked[0].truth, asked[0].wanted) == (FACT.text, "Rome", "Paris", "Rome")
    same, other = [one for one in asked if one.kind == "neighbor"]
    assert (same.target, same.truth, same.wanted) == (None, "Rome", "Rome")  # the edit wants nothing else of it
    assert (other.target, other.truth, other.wanted) == ("Rome", "Paris", "Paris")
    known = Fact(subject="Italy", prompt="The capital of {} is", target="Rome", truth="Rome")  # an unedited fact
    assert [(one.target, one.truth) for one in questions(known)] == [("Rome", None)]
    assert set(as_rows(asked)[0]) == {"kind", "prompt", "target", "truth"}


def test_probabilities_are_those_of_one_softmax_per_token(lm):
    asked = [one for one in questions(FACT) if one.kind != "paraphrase"]
    found = rated(lm, asked)
    for place, one in enumerate(asked):
        for name in ("target", "truth"):
            answer = getattr(one, name)
            if answer is None:
                assert found[name][place] is None
            else:
                assert found[name][place] == pytest.approx(alone(lm, one.prompt, answer)[0], rel=1e-4)  # float32
        assert found["exact"][place] == alone(lm, one.prompt, one.wanted)[1]


def test_what_a_round_did_to_the_weights(lm):
    generator = torch.Generator().manual_seed(0)
    weight = lm.original(1)
    raw = LowRank(
        torch.randn(weight.shape[0], 2, generator=generator), torch.randn(weight.shape[1], 2, generator=generator)
    )
    raw = raw.to(weight.dtype)
    update = LayerUpdates({1: raw.scaled(0.5)}, {1: weight.new_zeros(weight.shape[1], 1)}, raw={1: raw})
    state = LaneState.base(lm, [1])
    state.apply(update)
    (row,) = applied(lm, update, state, {"1": state.digest(1)})
    dense = raw.left.double() @ raw.right.double().T
    assert row["raw"] == pytest.approx(float(dense.norm()), rel=1e-6)
    assert row["norm"] == pytest.approx(float(dense.norm()) / 2, rel=1e-6)
    assert row["removed"] == pytest.approx(0.75, abs=1e-6)
    assert row["weight"] == pytest.approx(float(weight.norm()))
    assert row["same"] is True
    assert applied(lm, update, state, {"1": "0" * 16})[0]["same"] is False
    assert applied(lm, update, state, {})[0]["same"] is None
