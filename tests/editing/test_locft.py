"""LocFT against plain training of the model's own parameter, epoch by epoch (float64, 1e-8), and its limits."""

import pytest
import torch

from core.editing.lane.state import LaneState
from core.editing.methods._fine_tuning import epoch, lesson
from core.editing.recipe import recipe_from_dict
from core.editing.rounds.edit_round import edit_round
from core.editing.settings.defaults import ModelInfo
from core.errors import UserError
from core.models.tokens import answer_ids
from tests.editing.common import FACTS, recipe_of, session_of

MANY = [*FACTS, *FACTS[::-1]]


def plain_training(lm, layer: int, epochs: int, lr: float, size: int, eos: bool, stop: float) -> torch.Tensor:
    """W_T − W_0: shuffled batches of single rows through the whole model, Adam on the parameter itself."""
    parameter = lm.down(layer).weight
    before = parameter.detach().clone()
    adam = torch.optim.Adam([parameter.requires_grad_()], lr=lr)
    shuffled = torch.Generator().manual_seed(0)
    try:
        for _ in range(epochs):
            losses = []
            order = torch.randperm(len(MANY), generator=shuffled).tolist()
            while order:
                batch, order = order[:size], order[size:]
                adam.zero_grad()
                loss = 0.0
                for fact in (MANY[i] for i in batch):
                    head, target = lm.encode(fact.text), answer_ids(lm.tokenizer, fact.text, fact.target)
                    target = [*target, lm.tokenizer.eos_token_id] if eos else target
                    ids = torch.tensor([[*head, *target]])
                    log_p = lm.model(input_ids=ids, use_cache=False).logits[0].log_softmax(1)
                    places = range(len(head) - 1, len(head) - 1 + len(target))
                    loss = loss - sum(log_p[p, t] for p, t in zip(places, target, strict=True)) / len(target)
                loss = loss / len(batch)
                losses.append(float(loss.detach()))
                if losses[-1] >= stop:
                    loss.backward()
                    adam.step()
            if sum(losses) / len(losses) < stop:
                break
        change = parameter.detach() - before
    finally:
        parameter.requires_grad_(False)
        with torch.no_grad():
            parameter.copy_(before)
        parameter.grad = None
    return change.T if lm.anatomy.conv1d else change


@pytest.mark.parametrize("eos", [True, False])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_update_is_that_of_plain_training(toy, family, eos):
    lm = toy(family, "float64")
    settings = {"lr": 0.003, "steps": 3, "batch": 4, "stop_loss": 5.0, "eos": eos}
    recipe = recipe_of(lm, method="locft", layers=[1], **settings)
    update = edit_round(lm, LaneState.base(lm, (1,)), MANY, recipe, session_of(lm))
    expected = plain_training(lm, 1, 3, 0.003, 4, eos, 5.0)
    torch.testing.assert_close(update.updates[1].dense(), expected, rtol=1e-8, atol=1e-8 * float(expected.abs().max()))
    assert set(update.updates) == {1}


def test_without_a_step_it_is_the_base(lm):
    recipe = recipe_of(lm, method="locft", layers=[1], stop_loss=1e6)
    update = edit_round(lm, LaneState.base(lm, (1,)), FACTS, recipe, session_of(lm))
    assert not update.updates[1].dense().any()


def test_one_batch_in_one_epoch_has_no_order(toy):
    lm = toy("llama", "float64")
    recipe = recipe_of(lm, method="locft", layers=[1], steps=1, batch=3, lr=0.003)
    changes = [
        edit_round(lm, LaneState.base(lm, (1,)), facts, recipe, session_of(lm)).updates[1].dense()
        for facts in (FACTS, [FACTS[2], FACTS[0], FACTS[1]])
    ]
    torch.testing.assert_close(changes[0], changes[1], rtol=1e-7, atol=1e-9)


def test_epochs_are_shuffled_and_every_fact_is_in_each():
    order = torch.Generator().manual_seed(3)
    first, second = epoch(10, 4, order), epoch(10, 4, order)
    assert [len(part) for part in first] == [4, 4, 2]
    assert first != second
    assert sorted(sum(first, [])) == sorted(sum(second, [])) == list(range(10))
    assert epoch(5, 2, None) == [[0, 1], [2, 3], [4]]


def test_the_end_of_the_text_is_one_more_target(lm):
    with_end, without = (lesson(lm, FACTS[0], teacher_forced=True, eos=eos) for eos in (True, False))
    assert with_end.wanted == [*without.wanted, lm.tokenizer.eos_token_id]
    assert with_end.ids == [*without.ids, without.wanted[-1]]
    assert with_end.reads == [*without.reads, without.reads[-1] + 1]


def test_a_model_without_an_end_is_told(lm, monkeypatch):
    monkeypatch.setattr(type(lm.tokenizer), "eos_token_id", None, raising=False)
    with pytest.raises(UserError, match='set "eos": false'):
        lesson(lm, FACTS[0], teacher_forced=True, eos=True)


def test_the_published_settings():
    llama, qwen, mistral, own = (
        recipe_from_dict({"method": "locft"}, model).method
        for model in (
            ModelInfo("meta-llama/Meta-Llama-3-8B", "llama", 32, 4096, 128256),
            ModelInfo("Qwen/Qwen2.5-7B", "qwen2", 28, 3584, 152064),
            ModelInfo("mistralai/Mistral-7B-v0.1", "mistral", 32, 4096, 32000),
            ModelInfo("own", "phi3", 30),
        )
    )
    assert [m.layers for m in (llama, qwen, mistral, own)] == [(22,), (6,), (23,), (21,)]
    assert [m.lr for m in (llama, qwen, mistral, own)] == [5e-4, 5e-4, 5e-5, 5e-4]
    assert (llama.steps, llama.batch, llama.stop_loss, llama.eos) == (25, 100, 0.01, True)
