import pytest
import torch

from core.measures.inside.lower_layers import LowerLayers
from core.models.forward import activations, score, token_activations
from core.models.generation import generate, next_tokens
from tests.measures.test_session import edited

PROMPTS = ["The capital of France is", "Ada Marlow was born in", "Tom Ash is", "The river"]
ANSWERS = ["Paris", "Vienna in Lyon", "a baker", "runs"]


def everything(lm):
    """All ways in which measures run the model."""
    scores = score(lm, PROMPTS, ANSWERS, budget=16)
    return [
        scores.logprob,
        *scores.hits,
        *token_activations(lm, PROMPTS, [2, 3], "down").values(),
        *activations(lm, PROMPTS, [2, 3, 1, 0], [2], "block").values(),
        torch.tensor([len(text) for text in generate(lm, PROMPTS, 4)]),
        torch.tensor([p for _, p in next_tokens(lm, PROMPTS[0], 3)]),
    ]


@pytest.mark.parametrize("family", ["lm", "lm32"])
def test_not_a_bit_changes(family, request):
    lm = request.getfixturevalue(family)
    lower = LowerLayers(lm, 2)
    for seed in (1, 2):
        with lm.worn(edited(lm, 0.5, [2, 3], seed)):
            plain = everything(lm)
            with lower.remembered():
                for first, second in zip(plain, everything(lm), strict=True):
                    assert first.equal(second)
        assert bool(lower.hits) is (seed > 1)
    for part in (lm.model, *lm.layers):
        assert not part._forward_hooks
        assert not part._forward_pre_hooks


def test_lower_layers_do_not_run_again(lm):
    lower = LowerLayers(lm, 2)
    ran = []
    handles = [layer.mlp.register_forward_hook(lambda *_, i=i: ran.append(i)) for i, layer in enumerate(lm.layers)]
    try:
        with lower.remembered():
            score(lm, PROMPTS, ANSWERS)
            assert ran == [0, 1, 2, 3]
            score(lm, PROMPTS, ANSWERS)
            assert ran == [0, 1, 2, 3, 2, 3]
            with lower.set_aside():
                score(lm, PROMPTS, ANSWERS)
            assert ran == [0, 1, 2, 3, 2, 3, 0, 1, 2, 3]
        score(lm, PROMPTS, ANSWERS)
        assert len(ran) == 14
    finally:
        for handle in handles:
            handle.remove()


def test_it_forgets_what_does_not_fit(lm):
    lower = LowerLayers(lm, 2, most_bytes=1)
    with lower.remembered():
        for prompt in PROMPTS:
            score(lm, [prompt], ["Paris"])
    assert len(lower.states) == 1


def test_nothing_below_the_first_layer(lm):
    lower = LowerLayers(lm, 0)
    with lower.remembered():
        score(lm, PROMPTS, ANSWERS)
    assert not lower.states


def test_an_error_leaves_the_model_as_it_was(lm):
    lower = LowerLayers(lm, 2)
    expected = score(lm, PROMPTS, ANSWERS).logprob
    for _ in range(2):
        with pytest.raises(IndexError), lower.remembered():
            lm.model(
                input_ids=torch.full((1, 2), 10**6), attention_mask=torch.ones(1, 2, dtype=torch.long), use_cache=False
            )
    with lower.remembered():
        assert score(lm, PROMPTS, ANSWERS).logprob.equal(expected)
    assert score(lm, PROMPTS, ANSWERS).logprob.equal(expected)
