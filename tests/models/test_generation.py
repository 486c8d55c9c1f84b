"""Continuations equal transformers' own greedy search, row by row."""

from inspect import signature

import pytest
import torch

from core.models.generation import continuations, end_tokens, generate, greedy, next_tokens
from core.models.hooks import cache_argument

PROMPTS = ["The capital of France is", "Bruno", "The author of The Quiet River is"]


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "gptj", "opt", "mistral", "gemma2", "gemma3_text"])
def test_greedy_equals_generate(toy, family):
    lm = toy(family)
    expected = []
    for prompt in PROMPTS:
        ids = torch.tensor([lm.encode(prompt)])
        row = lm.model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False, pad_token_id=0
        )
        expected.append(lm.tokenizer.decode(row[0, ids.shape[1] :], skip_special_tokens=True))
    assert generate(lm, PROMPTS, 6) == expected
    assert generate(lm, PROMPTS, 6, budget=1) == expected


def test_a_row_ends_at_its_own_eos(toy):
    lm = toy("llama")
    rows = [lm.encode(p) for p in PROMPTS]
    stop = min(end_tokens(lm))
    count = {"n": 0}

    def pick(logits):
        count["n"] += 1
        chosen = greedy(logits)
        if count["n"] == 2:
            chosen[1] = stop
        return chosen

    plain = continuations(lm, rows, 5, greedy)
    stopped = continuations(lm, rows, 5, pick)
    order = sorted(range(3), key=lambda i: -len(rows[i]))
    assert len(stopped[order[1]]) == 1
    for i in (order[0], order[2]):
        assert stopped[i] == plain[i]


def test_next_tokens(toy):
    lm = toy("llama")
    found = next_tokens(lm, PROMPTS[0], 5)
    probabilities = lm.model(torch.tensor([lm.encode(PROMPTS[0])])).logits[0, -1].softmax(0)
    top = probabilities.topk(5)
    assert [p for _, p in found] == pytest.approx(top.values.tolist())
    assert [t for t, _ in found] == [lm.tokenizer.decode([i]) for i in top.indices.tolist()]
    assert len(next_tokens(lm, PROMPTS[0], 10_000)) == len(probabilities)


def test_the_cache_is_called_as_the_model_calls_it(toy):
    class Renamed(torch.nn.Module):
        def forward(self, input_ids=None, cache=None): ...

    assert cache_argument(Renamed()) == "cache"
    model = toy("gpt2").model
    assert cache_argument(model) in signature(model.forward).parameters
