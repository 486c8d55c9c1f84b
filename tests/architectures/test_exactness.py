"""On every family the batched forward is the plain full forward pass, and padding on either side changes nothing."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from core.models.forward import score
from core.models.generation import continuations, greedy
from core.models.hooks import logits_at
from core.models.partial_forward import PartialForward
from core.models.passes import right_padded
from core.models.tokens import answer_ids
from tests import toys
from tests.architectures.wide import Wide
from tests.models.test_partial_forward import PROMPTS, partial_loss, plain_loss, rows_of

EXACT = {"rtol": 1e-9, "atol": 1e-12}


@pytest.mark.parametrize("layer", [0, 2])
@pytest.mark.parametrize("family", toys.CONFIGS)
def test_loss_and_gradient_of_the_tail_are_those_of_the_full_forward(toy, family, layer):
    lm = toy(family)
    rows, targets = rows_of(lm, PROMPTS)
    generator = torch.Generator().manual_seed(1)
    delta = torch.randn(len(PROMPTS), lm.d_model, dtype=torch.float64, generator=generator).requires_grad_()
    with Wide():
        expected = plain_loss(lm, rows, targets, layer, delta)
        (slope,) = torch.autograd.grad(expected, delta)
        loss = partial_loss(PartialForward(lm, rows, layer), targets, delta)
        (found,) = torch.autograd.grad(loss, delta)
    torch.testing.assert_close(loss, expected, **EXACT)
    torch.testing.assert_close(found, slope, **EXACT)
    assert float(slope.norm()) > 0.01


@pytest.mark.parametrize("family", toys.CONFIGS)
def test_padding_left_and_right_agree_with_no_padding(toy, family):
    lm = toy(family)
    rows = [lm.encode(text) for text in (*toys.SENTENCES, "Rome", "The capital of France is")]
    rows.sort(key=len, reverse=True)  # the order of a batch
    said: list[tuple[torch.Tensor, torch.Tensor]] = []

    def alone(rows):
        return torch.stack([lm.model(torch.tensor([row]), use_cache=False).logits[0, -1] for row in rows])

    def noted(logits):
        said.append((logits, greedy(logits)))
        return said[-1][1]

    with Wide(), torch.no_grad():
        right = logits_at(lm, right_padded(lm, rows), range(len(rows)), [len(row) - 1 for row in rows])
        torch.testing.assert_close(right, alone(rows), **EXACT)
        continuations(lm, rows, 3, noted, budget=10_000)  # from the second token on padded on the left
        assert len(said) == 3
        for logits, chosen in said:
            torch.testing.assert_close(logits, alone(rows), **EXACT)
            rows = [[*row, token] for row, token in zip(rows, chosen.tolist(), strict=True)]


@pytest.mark.parametrize("family", toys.CONFIGS)
def test_scores_are_those_of_one_row_at_a_time(toy, family):
    lm = toy(family)
    asked = [(template.replace("{}", subject), target) for template, subject, target in PROMPTS]
    with Wide():
        found = score(lm, *zip(*asked, strict=True)).logprob
        for row, (prompt, answer) in enumerate(asked):
            head, target = lm.encode(prompt), answer_ids(lm.tokenizer, prompt, answer)
            with torch.no_grad():
                logits = lm.model(torch.tensor([head + target]), use_cache=False).logits[0, len(head) - 1 : -1]
            expected = logits.log_softmax(1).gather(1, torch.tensor(target)[:, None]).mean()
            assert float(found[row]) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize(
    "family, part",
    [
        ("mistral", "sliding_window"),
        ("phi3", "sliding_window"),
        ("gemma2", "sliding_window"),
        ("gemma3_text", "sliding_window"),
        ("gemma2", "attn_logit_softcapping"),
        ("gemma2", "final_logit_softcapping"),
    ],
)
def test_windows_and_soft_caps_act_on_these_prompts(toy, family, part):
    """What the tests above would not notice if the toys did not have it: without the part, the model says otherwise."""
    lm = toy(family)
    config = type(lm.config).from_pretrained(lm.reference, **{part: 4096 if part == "sliding_window" else None})
    without = AutoModelForCausalLM.from_pretrained(lm.reference, config=config, dtype=torch.float64)
    ids = torch.tensor([lm.encode("Ada Marlow says that Bruno Keller likes Ada Marlow and works in Lyon")])
    with torch.no_grad():
        said = [model(ids, use_cache=False).logits[0, -1] for model in (lm.model, without)]
    assert float((said[0] - said[1]).norm() / said[0].norm()) > 1e-3
