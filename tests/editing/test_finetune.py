"""Fine-tuning against plain training of the model's own parameter."""

import pytest
import torch

from core.editing.failure import EditFailure
from core.editing.lane.state import LaneState
from core.editing.rounds.edit_round import edit_round
from core.models.tokens import answer_ids
from tests.editing.common import FACTS, recipe_of, session_of


def plain_training(lm, layer: int, steps: int, lr: float, teacher_forced: bool, bound: float | None) -> torch.Tensor:
    """W_T − W_0 by Adam on the parameter itself, whole forward passes of single rows."""
    parameter = lm.down(layer).weight
    before = parameter.detach().clone()
    adam = torch.optim.Adam([parameter.requires_grad_()], lr=lr)
    try:
        for _ in range(steps):
            adam.zero_grad()
            total = 0.0
            for fact in FACTS:
                head, target = lm.encode(fact.text), answer_ids(lm.tokenizer, fact.text, fact.target)
                ids = [*head, *target[:-1]] if teacher_forced else head
                log_p = lm.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].log_softmax(1)
                rows = range(len(head) - 1, len(ids)) if teacher_forced else [-1] * len(target)
                total = total - sum(log_p[r, t] for r, t in zip(rows, target, strict=True)) / len(target)
            (total / len(FACTS)).backward()
            adam.step()
            if bound is not None:
                with torch.no_grad():
                    parameter.copy_(before + (parameter - before).clamp(-bound, bound))
        change = parameter.detach() - before
    finally:
        parameter.requires_grad_(False)
        with torch.no_grad():
            parameter.copy_(before)
        parameter.grad = None
    return change.T if lm.anatomy.conv1d else change


@pytest.mark.parametrize("bound", [None, 0.004])
@pytest.mark.parametrize("method", ["ft_l", "ft_m"])
@pytest.mark.parametrize("family", ["llama", "gpt2", "opt"])
def test_the_update_is_that_of_plain_training(toy, family, method, bound):
    lm = toy(family, "float64")
    recipe = recipe_of(lm, method=method, layers=[1], lr=0.003, steps=4, bound=bound)
    update = edit_round(lm, LaneState.base(lm, (1,)), FACTS, recipe, session_of(lm))
    expected = plain_training(lm, 1, 4, 0.003, method == "ft_m", bound)
    torch.testing.assert_close(update.updates[1].dense(), expected, rtol=1e-6, atol=1e-9)
    assert update.keys[1].shape == (lm.d_ffn, 0)
    assert update.values.steps.tolist() == [4, 4, 4]
    assert 0 < update.residual_after[1] < 1


def test_batches_and_stopping(lm, session):
    base = LaneState.base(lm, (1, 2))
    alone = recipe_of(lm, method="ft_m", layers=[1, 2], lr=0.01, steps=40, batch=1, stop_loss=2.0)
    update = edit_round(lm, base, FACTS, alone, session)
    assert float(update.values.loss.mean()) < 2.0
    assert int(update.values.steps[0]) < 40
    assert set(update.updates) == {1, 2}
    assert not any(p.requires_grad for p in lm.model.parameters())


def test_numbers_that_break_are_told(lm, session):
    state = LaneState.base(lm, (1,))
    state.sums[1] = state.sums[1] * float("nan")
    with pytest.raises(EditFailure, match="The capital of France is Rome.*Lower lr"):
        edit_round(lm, state, FACTS, recipe_of(lm, method="ft_m", layers=[1]), session)
