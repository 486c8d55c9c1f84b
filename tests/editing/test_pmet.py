"""PMET: both δ against a plain forward pass, the shares of the layers, and its schedule."""

import pytest
import torch
from torch.nn import functional as F

from core.editing.failure import EditFailure
from core.editing.lane.method import Round
from core.editing.lane.state import LaneState
from core.editing.methods._pmet_values import Joint, attention, joint_values
from core.editing.methods.pmet import Pmet
from core.models.tokens import answer_ids, slot_last
from tests.editing.common import FACTS, recipe_of, session_of

SETTINGS = {"method": "pmet", "layers": [1, 2], "kl": 0.7, "eased": 0.1, "enough_kl": 0.01}


def round_of(lm, **settings) -> Round:
    recipe = recipe_of(lm, **{**SETTINGS, **settings})
    return Round(lm, LaneState.base(lm, recipe.layers), FACTS, recipe, session_of(lm))


def plain_loss(lm, round_: Round, i: int, delta: torch.Tensor) -> torch.Tensor:
    """A fact's NLL + κ KL by whole forward passes of single rows, δ [2, d] added where the subject ends."""
    fact, layer, contexts = FACTS[i], round_.recipe.layers[-1], round_.session.contexts(round_.recipe.method)

    def logits(ids: list[int], at: int, change: torch.Tensor) -> torch.Tensor:
        def adding(site):
            def add(_, __, output):
                first = output[0] if isinstance(output, tuple) else output
                moved = torch.zeros_like(first.reshape(len(ids), -1))
                moved = moved.index_add(0, torch.tensor([at]), change[site][None]).reshape(first.shape)
                return (first + moved, *output[1:]) if isinstance(output, tuple) else first + moved

            return add

        handles = [
            part.register_forward_hook(adding(site)) for site, part in enumerate((lm.down(layer), attention(lm, layer)))
        ]
        try:
            return lm.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
        finally:
            for handle in handles:
                handle.remove()

    nll = 0.0
    before = ["", *(f"{text.rstrip('.')}. " for text in contexts)]
    for prefix in before:
        text, at = slot_last(lm.tokenizer, fact.prompt, fact.subject, prefix)
        ids, target = lm.encode(text), answer_ids(lm.tokenizer, text, fact.target)
        found = logits([*ids, *target[:-1]], at, delta)[len(ids) - 1 :]
        nll = nll + F.cross_entropy(found, torch.tensor(target)) / len(before)
    text, at = slot_last(lm.tokenizer, "{} is a", fact.subject)
    ids = lm.encode(text)
    clean, edited = (logits(ids, at, change)[at].log_softmax(0) for change in (torch.zeros_like(delta), delta))
    kl = F.kl_div(clean, edited, reduction="sum", log_target=True)
    return nll + round_.recipe.method.kl * kl


@pytest.mark.parametrize("family", ["llama", "gpt2", "gptj", "opt"])
def test_loss_and_gradient_are_those_of_the_plain_forward_pass(toy, family):
    lm = toy(family, "float64")
    round_ = round_of(lm, weight_decay=0.0)
    found = Joint(round_, 2, round_.recipe.method, None)
    found.evaluate()
    found.delta = 0.3 * torch.randn(found.delta.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found.adam.taken = 1
    slope = found.evaluate()
    for i in range(len(FACTS)):
        delta = found.delta[i].clone().requires_grad_()
        loss = plain_loss(lm, round_, i, delta)
        (expected,) = torch.autograd.grad(loss, delta)
        near = 1e-6 if family == "gptj" else 1e-9  # GPT-J turns its keys in float32
        assert float(found.loss[i]) == pytest.approx(float(loss.detach()), rel=near)
        torch.testing.assert_close(slope[i], expected, rtol=1e3 * near, atol=near)


def test_the_clamp_and_the_target(toy):
    lm = toy("llama", "float64")
    round_ = round_of(lm, lr=0.5, clamp=0.4, steps=6)
    values = joint_values(round_, round_.recipe.method)
    assert float(values.size.max()) <= 0.4 + 1e-9
    assert float(values.size.max()) > 0.39
    torch.testing.assert_close(values.target, values.start + values.delta)
    assert bool((values.loss < values.loss_start).all())


def test_facts_that_are_said_count_less_and_end_early(toy):
    lm = toy("llama", "float64")
    round_ = round_of(lm)
    found = Joint(round_, 2, round_.recipe.method, None)
    found.evaluate()
    found.said[:] = torch.tensor([True, True, False])
    found.kl[:] = torch.tensor([0.005, 0.5, 0.0])
    assert found.done().tolist() == [True, False, False]
    assert found.factor.tolist() == [0.1, 0.1, 1.0]


def test_lower_layers_take_more_than_in_memit():
    assert [Pmet().share(i, 4) for i in range(4)] == pytest.approx([1 / 2, 3**-0.5, 2**-0.5, 1])


def test_the_first_and_the_last_layer_cannot_hold_the_value(lm):
    for layers in ([0], [3]):
        with pytest.raises(EditFailure, match="1 to 2"):
            joint_values(round_ := round_of(lm, layers=layers), round_.recipe.method)
