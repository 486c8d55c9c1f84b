import pytest
import torch

from core.measures.words import Words, normalised, said
from core.models.generation import generate
from tests.measures.test_session import edited


@pytest.mark.parametrize(
    ("continuation", "target", "expected"),
    [
        (" Paris, the city", "Paris", True),
        ("paris.", "Paris", True),
        (' "Paris" is', "Paris", True),
        ("Parisian", "Paris", False),
        ("in Paris", "Paris", False),
        ("the  New\nYork skyline", "The New York", True),
        ("São Paulo", "São Paulo", True),
        ("", "Paris", False),
        ("anything", "", False),
        ("", "", False),
    ],
)
def test_said(continuation, target, expected):
    assert said(continuation, target) is expected


def test_normalised():
    assert normalised("  «The\tCity»  is ") == "the city» is"


def test_rows_hold_what_was_said_before_and_after(lm, facts):
    words = Words(lm, facts, 4)
    rows = words.rows({}, [0, 7])
    assert [row["before"] for row in rows] == [row["after"] for row in rows]
    assert rows[0]["prompt"] == "Ada Marlow was born in"
    assert rows[1]["truth"] is None
    weights = edited(lm, size=2.0)
    changed = words.rows(weights, [0, 1, 7])
    assert [changed[0]["before"], changed[2]["before"]] == [row["before"] for row in rows]
    assert any(row["before"] != row["after"] for row in changed)
    with lm.worn(weights), torch.no_grad():
        ids = lm.encode(facts[1].text)
        for _ in range(4):
            ids = [*ids, int(lm.model(torch.tensor([ids])).logits[0, -1].argmax())]
    alone = lm.tokenizer.decode(ids[len(lm.encode(facts[1].text)) :], skip_special_tokens=True).strip()
    assert changed[1]["after"] == alone
    assert words.rows({}, []) == []


def test_other_prompts_are_continued_as_alone(lm):
    words = Words(lm, (), 4)
    prompts = ["The capital of France is", "A river is"]
    weights = {1: lm.original(1) * 1.5}
    for worn in ({}, weights):
        rows = words.after(worn, prompts)
        assert [row["prompt"] for row in rows] == prompts
        with lm.worn(worn):
            assert [row["text"] for row in rows] == [generate(lm, [prompt], 4)[0].strip() for prompt in prompts]
    assert words.after(weights, []) == []
