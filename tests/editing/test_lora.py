"""LoRA and AdaLoRA: one adapter over all rounds, against slow plain versions."""

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from core.editing.lane.session import model_info
from core.editing.lane.state import LaneState
from core.editing.methods._lora_form import Product, Triplets
from core.editing.recipe import recipe_from_dict
from core.editing.rounds.edit_round import edit_round
from core.models.forward import score
from core.models.tokens import answer_ids
from tests.editing.common import FACTS

USUAL: dict[str, Any] = {"layers": [1, 2], "steps": 4, "lr": 0.01, "rank": 3}
SEED = 0


def edited(lm, session, state, facts, **settings):
    recipe = recipe_from_dict({**USUAL, **settings}, model_info(lm))
    update = edit_round(lm, state, facts, recipe, session)
    state.apply(update)
    return update


def first(form, lm, layer):
    return form.start(*lm.original(layer).shape, torch.Generator().manual_seed(SEED * 1_000_003 + layer))


@pytest.mark.parametrize("form", [Product(3, 8.0), Triplets(3, 32.0, 0.5)])
def test_an_adapter_begins_as_nothing(form):
    params = form.start(6, 5, torch.Generator().manual_seed(1))
    assert not form.factors(params).dense().any()
    assert any(p.any() for p in params.values())


def test_a_triplet_is_a_rank_one_term_and_the_penalty_is_none_where_both_are_orthonormal():
    form, random = Triplets(3, 32.0, 0.5), torch.Generator().manual_seed(2)
    params = {
        "p": torch.linalg.qr(torch.randn(6, 3, generator=random)).Q,
        "e": torch.tensor([3.0, 2.0, 1.0]),
        "q": torch.linalg.qr(torch.randn(5, 3, generator=random)).Q.T,
    }
    assert float(form.penalty([params])) == pytest.approx(0, abs=1e-6)
    stretched = {**params, "p": 2 * params["p"]}
    assert float(form.penalty([params, stretched])) == pytest.approx(0.5 * 3 * 3**0.5 / 4, rel=1e-5)
    masked = {**params, "e": torch.tensor([3.0, 0.0, 1.0])}
    term = 32 / (3 + 1e-5) * 2.0 * torch.outer(params["p"][:, 1], params["q"][1])
    torch.testing.assert_close(form.factors(params).dense() - form.factors(masked).dense(), term)


@pytest.mark.parametrize("method", ["lora", "adalora"])
def test_training_is_that_of_a_slow_plain_version(lm, session, method):
    """Autograd through W0 + ΔW, merged, in a pass of the whole model for each fact."""
    form = Product(3, 8.0) if method == "lora" else Triplets(3, 32.0, 0.5)
    params = {layer: {n: p.requires_grad_() for n, p in first(form, lm, layer).items()} for layer in (1, 2)}
    adam = torch.optim.Adam([p for own in params.values() for p in own.values()], lr=0.01)
    for _ in range(4):
        adam.zero_grad()
        handles = []
        for layer, own in params.items():
            weight = lm.original(layer) + form.factors(own).dense()
            hook = lambda part, args, _, weight=weight: F.linear(args[0], weight, part.bias)  # noqa: E731
            handles.append(lm.down(layer).register_forward_hook(hook))
        total = form.penalty(list(params.values()))
        for fact in FACTS:
            head, target = lm.encode(fact.text), answer_ids(lm.tokenizer, fact.text, fact.target)
            logits = lm.model(torch.tensor([[*head, *target[:-1]]])).logits[0, len(head) - 1 :]
            total = total + F.cross_entropy(logits, torch.tensor(target)) / len(FACTS)
        total.backward()
        for handle in handles:
            handle.remove()
        adam.step()
    state = LaneState.base(lm, [1, 2])
    edited(lm, session, state, FACTS, method=method)
    for layer, own in params.items():
        plain = lm.original(layer) + form.factors(own).dense().detach()
        assert float((plain - lm.original(layer)).abs().max()) > 1e-3
        torch.testing.assert_close(state.weights[layer], plain, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("method", ["lora", "adalora"])
def test_one_adapter_goes_on_and_its_rank_stays(lm, session, method):
    state = LaneState.base(lm, [1, 2])
    updates = [edited(lm, session, state, [fact], method=method) for fact in FACTS]
    form = Product(3, 8.0) if method == "lora" else Triplets(3, 32.0, 0.5)
    for layer in (1, 2):
        change = state.weights[layer] - lm.original(layer)
        params = {n: state.memory[f"{method}.{n}.{layer}"] for n in first(form, lm, layer)}
        torch.testing.assert_close(change, form.factors(params).dense(), rtol=1e-4, atol=1e-5)
        assert int(torch.linalg.matrix_rank(change.double(), atol=1e-5)) <= 3
        assert all(update.updates[layer].columns <= 6 for update in updates)


@pytest.mark.parametrize("method", ["lora", "adalora"])
def test_guards_act_on_what_is_written(lm, session, method):
    state = LaneState.base(lm, [1, 2])
    for facts in (FACTS[:2], FACTS[2:]):
        update = edited(lm, session, state, facts, method=method, guards=[{"name": "shrink", "factor": 0.5}])
        for layer, delta in update.updates.items():
            torch.testing.assert_close(delta.dense(), 0.5 * update.raw[layer].dense())
    base = score(lm, [FACTS[2].text], [FACTS[2].target]).logprob
    with lm.worn(state.worn):
        assert score(lm, [FACTS[2].text], [FACTS[2].target]).logprob > base
