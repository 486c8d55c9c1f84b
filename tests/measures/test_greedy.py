import math

import pytest
import torch

from core.measures.outside.greedy import Chooser, by_count, decoded, greedy_ids, match_ratio, sampled_texts
from core.models.generation import generate
from tests.measures.test_session import edited

PROMPTS = ["Ada Marlow was born in", "The capital of France is", "I like you and", "Bruno"]


@pytest.mark.parametrize("family", ["lm", "lm32"])
def test_greedy_ids_equal_plain_steps(family, request):
    lm = request.getfixturevalue(family)
    counts = [3, 5, 3, 1]
    with lm.worn(edited(lm, 0.5)):
        found, broken = greedy_ids(lm, PROMPTS, counts)
        for prompt, count, ids in zip(PROMPTS, counts, found, strict=True):
            grown = lm.encode(prompt)
            for _ in range(count):
                with torch.no_grad():
                    grown = [*grown, int(lm.model(torch.tensor([grown])).logits[0, -1].argmax())]
            said = grown[-count:]
            end = lm.tokenizer.eos_token_id
            assert ids == (said[: said.index(end)] if end in said else said)
        assert decoded(lm, found[:1]) == generate(lm, PROMPTS[:1], 3)
    assert broken == 0


def test_rows_that_are_not_finite_end_and_are_counted(lm):
    with lm.worn({1: torch.full_like(lm.original(1), math.nan)}):
        found, broken = greedy_ids(lm, PROMPTS, [4] * len(PROMPTS))
        assert sampled_texts(lm, PROMPTS, 12, 0) == PROMPTS
    assert found == [[]] * len(PROMPTS)
    assert broken == len(PROMPTS)


def test_samples_have_their_length_and_seed(lm):
    beats = []
    texts = sampled_texts(lm, PROMPTS, 20, 0, lambda: beats.append(1))
    assert texts == sampled_texts(lm, PROMPTS, 20, 0)
    assert texts != sampled_texts(lm, PROMPTS, 20, 1)
    assert all(text.startswith(prompt) for text, prompt in zip(texts, PROMPTS, strict=True))
    assert beats
    short = sampled_texts(lm, PROMPTS, 3, 0)
    assert short[0] == PROMPTS[0]  # longer than that already


def test_choices(lm):
    logits = torch.full((3, lm.config.vocab_size), -1.0)
    logits[0, 2] = 5.0  # </s> is the likeliest
    logits[:, 7] = 4.0
    logits[1, 9] = math.nan
    logits[2, 11] = math.inf
    plain = Chooser(lm)
    assert plain(logits).tolist() == [2, 2, 2]
    assert plain.broken == 2
    assert Chooser(lm, forced=True)(logits[:1]).tolist() == [7]
    flat = torch.zeros(2000, lm.config.vocab_size)
    flat[:, :5] = torch.tensor([2.0, 1.0, 0.0, -1.0, 1.5]) + 9
    drawn = Chooser(lm, torch.Generator().manual_seed(0))(flat)
    shares = torch.bincount(drawn, minlength=5).double() / len(drawn)
    assert shares[5:].sum() == 0
    assert float((shares[:5] - flat[0, :5].double().softmax(0)).abs().max()) < 0.04  # 4 standard errors


def test_match_ratio_by_hand():
    assert match_ratio([1, 2, 3, 4], [1, 9, 3]) == 0.5  # one differs, one is missing
    assert match_ratio([1, 2], [1, 2, 3]) == 1.0
    assert match_ratio([], []) == 1.0
    assert match_ratio([], [1]) == 0.0
    assert match_ratio([1], []) == 0.0
    assert by_count([3, 1, 3]) == {3: [0, 2], 1: [1]}
