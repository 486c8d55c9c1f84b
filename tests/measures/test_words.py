from dataclasses import replace

import pytest
import torch

from core.facts.fact import Fact
from core.measures.outside.words import Words, normalised, says_target
from core.models.generation import generate
from core.models.tokens import answer_ids
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
        ("5.5 metres", "5", False),
        ("5,000", "5", False),
        ("5:30", "5", False),
        ("5万", "5", False),
        ("55", "5", False),
        ("5. Then", "5", True),
        ("5, 6 or 7", "5", True),
        ("-5", "5", False),
        ("5", "-5", False),
        ("\u22125 degrees", "-5", True),
        ("…5", "5", True),
        (" 🟢🟢", "🟢", True),
        ('"🟢"', "🟢", True),
        ("🟡", "🟢", False),
        ("👍🏽", "👍", False),
        ("👩‍🔬", "👩", False),
        ("❤️ it is", "❤", True),
        ("?!", "?", True),
        ("the ?", "?", False),
        ("...", "...", True),
        ("東京です。", "東京", True),
        ("東京タワー", "東京", True),
        ("北京是", "北京", True),
        ("アメリカ", "アメ", False),
        ("アメリカの", "アメリカ", True),
        ("1969年です", "1969", True),
        ("Sonyは", "Sony", True),
        ("서울입니다", "서울", True),
        ("हिन्दी", "हिन्द", False),
        ("C++11", "C++", False),
        ("C++, and", "C++", True),
    ],
)
def test_said(continuation, target, expected):
    assert says_target(continuation, target) is expected


def test_normalised():
    assert normalised("  «The\tCity»  is ") == "the city» is"
    assert normalised(" (\u22125") == "-5"
    assert normalised(" 🟢 ") == "🟢"  # not nothing, which all emoji would be


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


def test_a_target_longer_than_the_words_that_are_shown_is_said_all_the_same(lm, monkeypatch):
    target = "a painter in Lyon, and then a baker in Vienna by the sea"
    fact = Fact(subject="France", prompt="The capital of {} is", target=target)
    spoken = answer_ids(lm.tokenizer, fact.text, f"{target} where the river runs to the sea")

    def generated(lm, prompts, count, beat=None):
        return [lm.tokenizer.decode(spoken[:count]) for _ in prompts]

    monkeypatch.setattr("core.measures.outside.words.generate", generated)
    words = Words(lm, [fact, replace(fact, target="a")], 4)
    first, second = words.rows({}, [0, 1])
    assert len(answer_ids(lm.tokenizer, fact.text, target)) > 4
    assert first["said"]
    assert second["after"] == lm.tokenizer.decode(spoken[:4]).strip()


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
