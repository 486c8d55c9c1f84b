"""MEND: the identity it begins as, its factors, its training's loss written out, and its limits."""

import random
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from core.editing.lane.session import model_info
from core.editing.lane.state import LaneState
from core.editing.methods._fine_tuning import lesson
from core.editing.methods._hypernet import Hypernet, gradients, include, standardised, transformed
from core.editing.recipe import recipe_from_dict
from core.editing.rounds.edit_round import edit_round
from core.models.forward import score
from core.models.tokens import answer_ids
from tests.editing.common import FACTS, session_of

LAYERS = [1, 3]
USUAL: dict[str, Any] = {
    "method": "mend", "layers": LAYERS, "rank": 4, "edit_lr": 0.05, "normalize": False, "lr": 1e-3, "steps": 3,
    "taught": 8, "batch": 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def lm(toy):
    return toy("llama", "float64")


def learner_of(lm, **settings) -> Hypernet:
    return Hypernet(session_of(lm), recipe_from_dict({**USUAL, **settings}, model_info(lm)).method)


def rounds_of(lm, session, facts, **settings):
    state = LaneState.base(lm, LAYERS)
    return edit_round(lm, state, facts, recipe_from_dict({**USUAL, **settings}, model_info(lm)), session)


def slopes_of(lm, fact) -> tuple[torch.Tensor, dict[int, torch.Tensor]]:
    """The loss of a fact and its gradient in the weights, by autograd."""
    weights = [lm.down(layer).weight for layer in LAYERS]
    head, target = lm.encode(fact.text), answer_ids(lm.tokenizer, fact.text, fact.target)
    logits = lm.model(torch.tensor([[*head, *target[:-1]]])).logits[0, len(head) - 1 :]
    loss = F.cross_entropy(logits, torch.tensor(target))
    return loss.detach(), dict(zip(LAYERS, torch.autograd.grad(loss, weights), strict=True))


@pytest.fixture
def trainable(lm):
    """The weights take gradients, for autograd to say what they are; statistics are gathered before."""
    session_of(lm)
    for layer in LAYERS:
        lm.down(layer).weight.requires_grad_()
    yield
    for layer in LAYERS:
        lm.down(layer).weight.requires_grad_(False)


def test_factors_are_those_of_the_gradient_and_an_untrained_network_makes_a_scaled_gradient_step(lm, trainable):
    learner = learner_of(lm)
    params = learner.start()
    rows = [lesson(lm, fact, teacher_forced=True) for fact in FACTS]
    found, losses = gradients(lm, rows, LAYERS)
    for fact, pairs, loss in zip(FACTS, found, losses, strict=True):
        expected, slopes = slopes_of(lm, fact)
        assert float(loss) == pytest.approx(float(expected), rel=1e-9)
        for layer, (x, delta) in pairs.items():
            torch.testing.assert_close(delta.T @ x, slopes[layer], rtol=1e-9, atol=1e-12)
            right, left = transformed(params, layer, (x, delta), False)
            torch.testing.assert_close(left.T @ right, -0.05 * slopes[layer], rtol=1e-9, atol=1e-12)


def test_a_round_takes_one_step_after_the_other_and_none_with_a_step_of_zero(lm, trainable, monkeypatch):
    monkeypatch.setattr(Hypernet, "rates", lambda self: {"c.1": 0.0})  # the network stays what it is at first
    update = rounds_of(lm, session_of(lm), FACTS[:2])
    weights = {layer: lm.original(layer) for layer in LAYERS}
    for fact in FACTS[:2]:
        with lm.worn(weights):
            _, slopes = slopes_of(lm, fact)
        weights = {layer: weight - 0.05 * slopes[layer] for layer, weight in weights.items()}
    for layer in LAYERS:
        expected = weights[layer] - lm.original(layer)
        torch.testing.assert_close(update.updates[layer].dense(), expected, rtol=1e-6, atol=1e-10)
    assert (update.values.loss < update.values.loss_start).all()
    still = rounds_of(lm, session_of(lm), FACTS[:2], edit_lr=0.0)
    assert not any(delta.dense().any() for delta in still.updates.values())


def test_standardised_numbers_have_mean_zero_and_deviation_one_of_all_that_was_seen(lm):
    torch.manual_seed(1)
    params = learner_of(lm).start()
    size = lm.d_model + lm.d_ffn
    parts = [3 * torch.randn(n, size, dtype=torch.float64) + 5 for n in (4, 9, 2)]
    for part in parts:
        include(params, 1, part)
    whole = torch.cat(parts)
    expected = (whole - whole.mean(0)) / whole.std(0)
    torch.testing.assert_close(standardised(params, 1, whole), expected, rtol=1e-6, atol=1e-6)


def test_the_loss_of_training_is_that_of_models_edited_one_by_one(lm):
    """Each fact's update on a copy of the weights: − log p of the other prompt, and the KL at a strange answer."""
    learner = learner_of(lm, normalize=True, edit_weight=0.3)
    params = learner.start()
    generator = torch.Generator().manual_seed(0)
    for number in (1, 2):
        params[f"u.{number}"] = 0.1 * torch.randn(params[f"u.{number}"].shape, generator=generator).double()
    loss = learner.step(params, 0)
    chosen = random.Random("mend 0 0").sample(learner.facts, 3)
    pairs, _ = gradients(lm, [lesson(lm, one.fact, teacher_forced=True) for one in chosen], LAYERS)
    told, kept = [], []
    for one, own in zip(chosen, pairs, strict=True):
        weights = {}
        for layer in LAYERS:
            right, left = transformed(params, layer, own[layer], True)
            weights[layer] = lm.original(layer) + left.T @ right
        ids, reads = lesson_of(lm, one.strange, one.answer)
        before = torch.log_softmax(lm.model(ids).logits[0, reads], 1)
        with lm.worn(weights):
            told.append(-float(score(lm, [one.other], [one.fact.target]).logprob))
            after = torch.log_softmax(lm.model(ids).logits[0, reads], 1)
        kept.append((before.exp() * (before - after)).sum(1))
    expected = 0.3 * sum(told) / 3 + float(torch.cat(kept).mean())
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def lesson_of(lm, prompt: str, answer: str):
    head, target = lm.encode(prompt), answer_ids(lm.tokenizer, prompt, answer)
    return torch.tensor([[*head, *target[:-1]]]), list(range(len(head) - 1, len(head) - 1 + len(target)))


def test_training_lowers_its_loss_and_moves_every_part(lm):
    from core.editing.training.loop import learnt

    settings = {"steps": 12, "normalize": True, "edit_lr": 1e-2}
    learner = learner_of(lm, **settings)
    found = learnt(session_of(lm), learner)
    start = learner.start()
    assert all(not torch.equal(found[name], value) for name, value in start.items() if name != "step")
    for name in start:
        if name.split(".")[0] in ("seen", "mean", "squares"):
            start[name] = found[name]  # the same statistics for both
    held = [
        sum(float(learner.step({n: v.clone() for n, v in params.items()}, at).detach()) for at in range(20, 24)) / 4
        for params in (start, found)
    ]
    assert held[1] < held[0] - 0.02
