import math

import pytest
import torch

from core.measures.outside.perplexity import perplexity, rows
from tests import toys
from tests.measures.test_session import edited


def slow(lm, texts):
    """exp of the mean surprise, one full softmax per token."""
    logs = []
    for text in texts:
        ids = lm.encode(text)
        for end in range(1, len(ids)):
            with torch.no_grad():
                p = lm.model(torch.tensor([ids[:end]])).logits[0, -1].double().softmax(0)
            logs.append(math.log(float(p[ids[end]])))
    return math.exp(-sum(logs) / len(logs)), len(logs)


@pytest.mark.parametrize("family", ["lm", "lm32"])
def test_equals_one_token_at_a_time(family, request):
    lm = request.getfixturevalue(family)
    texts = toys.SENTENCES[:3]
    expected, _ = slow(lm, texts)
    assert perplexity(lm, texts, None) == pytest.approx(expected, rel=1e-5)
    with lm.worn(edited(lm, 1.0)):
        other, _ = slow(lm, texts)
        assert perplexity(lm, texts, None) == pytest.approx(other, rel=1e-5)
    assert abs(math.log(other / expected)) > 0.01


def test_a_uniform_model_is_as_perplexed_as_its_vocabulary_is_large(lm):
    with torch.no_grad():
        kept = lm.head.weight.clone()
        lm.head.weight.zero_()
        try:
            assert perplexity(lm, toys.SENTENCES, 100) == pytest.approx(lm.config.vocab_size, rel=1e-6)
        finally:
            lm.head.weight.copy_(kept)


def test_the_first_tokens_are_predicted(lm):
    count = [len(ids) - 1 for ids in lm.encode_all(toys.SENTENCES)]
    beats = []
    some = perplexity(lm, toys.SENTENCES, count[0] + 3, lambda: beats.append(1))
    assert beats
    assert [len(row) - 1 for row in rows(lm, toys.SENTENCES, count[0] + 3)] == [count[0], 3]
    head = [lm.encode(toys.SENTENCES[0]), lm.encode(toys.SENTENCES[1])[:4]]
    assert rows(lm, toys.SENTENCES, count[0] + 3) == head
    assert some != perplexity(lm, toys.SENTENCES, count[0])


def test_long_texts_are_read_in_windows(lm):
    text = " ".join(toys.SENTENCES * 3)
    ids = lm.encode(text)
    windows = rows(lm, [text], None)
    assert len(ids) > lm.max_length
    assert [row[0] for row in windows] == ids[: len(ids) - 1 : lm.max_length]
    assert [token for row in windows for token in row[1:]] == ids[1:]
    assert math.isfinite(perplexity(lm, [text], None))


def test_nothing_to_predict_and_broken_weights(lm):
    assert math.isnan(perplexity(lm, [], 10))
    assert math.isnan(perplexity(lm, [""], 10))
    broken = {1: torch.full_like(lm.original(1), math.nan)}
    with lm.worn(broken):
        assert math.isnan(perplexity(lm, toys.SENTENCES, 50))
