"""The forward equals the plain full forward pass: loss, gradient, and the value that descent arrives at, in float64."""

import pytest
import torch
from torch import Tensor

from core.models.language_model import LanguageModel
from core.models.partial_forward import PartialForward, Row, grouped
from core.models.tokens import answer_ids, slot_last

PROMPTS = [  # the subject first, in the middle, repeated before and after its slot; answers of one to many tokens
    ("{} speaks", "Ada Marlow", "German"),
    ("Bruno Keller knows Bruno Keller, and {} was born in the", "Bruno Keller", "sea because I like Rome"),
    ("Ada Marlow says that {} likes Ada Marlow and works in", "Ada Marlow", "Lyon"),
    ("The capital of {} is", "France", "Paris and the river"),
    ("{} like the sea and I like", "I", "you"),  # without BOS, nothing stands before the subject
]
BEFORE = ["", "Therefore the river runs. ", "I like you. "]
EXACT = {"rtol": 1e-9, "atol": 1e-12}


def rows_of(lm: LanguageModel, prompts: list[tuple[str, str, str]]) -> tuple[list[Row], list[list[int]]]:
    rows, targets = [], []
    for owner, (template, subject, target) in enumerate(prompts):
        for before in BEFORE:
            text, cut = slot_last(lm.tokenizer, template, subject, before)
            ids, answer = lm.encode(text), answer_ids(lm.tokenizer, text, target)
            reads = range(len(ids) - 1, len(ids) + len(answer) - 1)
            rows.append(Row((*ids, *answer[:-1]), cut, owner, tuple(reads)))
            targets.append(answer)
    return rows, targets


def plain_loss(lm: LanguageModel, rows: list[Row], targets: list[list[int]], layer: int, delta: Tensor) -> Tensor:
    """One row at a time through the whole model, δ added by a hook: what the forward must equal."""
    total = torch.zeros((), dtype=delta.dtype)
    for row, target in zip(rows, targets, strict=True):

        def add(_, __, output, row=row):
            states = output[0] if isinstance(output, tuple) else output
            changed = states.clone()
            changed[0, row.cut] += delta[row.owner]
            return (changed, *output[1:]) if isinstance(output, tuple) else changed

        handle = lm.layers[layer].register_forward_hook(add)
        logits = lm.model(torch.tensor([row.ids]), use_cache=False).logits[0]
        handle.remove()
        log_p = logits[list(row.reads)].log_softmax(-1)
        total = total - log_p.gather(1, torch.tensor(target)[:, None]).mean()
    return total


def partial_loss(forward: PartialForward, targets: list[list[int]], delta: Tensor) -> Tensor:
    total = torch.zeros((), dtype=delta.dtype)
    for batch in forward.batches:
        log_p = forward.logits(batch, delta).log_softmax(-1)
        wanted = torch.tensor([t for row in batch.rows for t in targets[row]])
        share = torch.tensor([1 / len(targets[batch.rows[r]]) for r in batch.read_rows.tolist()], dtype=delta.dtype)
        total = total - (log_p.gather(1, wanted[:, None])[:, 0] * share).sum()
    return total


@pytest.mark.parametrize("budget", [10_000, 60], ids=["one-batch", "many-batches"])
@pytest.mark.parametrize("layer", [0, 2, 3])
@pytest.mark.parametrize(
    "family, bos",
    [
        ("llama", True),
        ("gpt2", True),
        ("gpt2", False),
        ("gpt_neox", True),
        ("opt", True),
        ("qwen2", False),
        ("mistral", True),
    ],
)
def test_loss_and_gradient_equal_the_full_forward(toy, family, bos, layer, budget):
    lm = toy(family, bos=bos)
    rows, targets = rows_of(lm, PROMPTS)
    generator = torch.Generator().manual_seed(1)
    delta = torch.randn(len(PROMPTS), lm.d_model, dtype=torch.float64, generator=generator).requires_grad_()

    expected = plain_loss(lm, rows, targets, layer, delta)
    (slope,) = torch.autograd.grad(expected, delta)
    loss = partial_loss(PartialForward(lm, rows, layer, budget), targets, delta)
    (found,) = torch.autograd.grad(loss, delta)

    torch.testing.assert_close(loss, expected, **EXACT)
    torch.testing.assert_close(found, slope, **EXACT)


def test_layers_that_return_tuples(toy):
    """GPT-J computes its attention in float32 whatever the model's type: equal to that precision."""
    lm = toy("gptj")
    rows, targets = rows_of(lm, PROMPTS)
    delta = torch.full((len(PROMPTS), lm.d_model), 0.1, dtype=torch.float64)
    found = partial_loss(PartialForward(lm, rows, 1), targets, delta)
    torch.testing.assert_close(found, plain_loss(lm, rows, targets, 1, delta), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_descent_arrives_at_the_same_value(toy, family):
    lm = toy(family)
    rows, targets = rows_of(lm, PROMPTS)
    forward = PartialForward(lm, rows, 1)
    deltas = []
    for loss in (
        lambda d: plain_loss(lm, rows, targets, 1, d),
        lambda d: partial_loss(forward, targets, d),
    ):
        delta = torch.zeros(len(PROMPTS), lm.d_model, dtype=torch.float64, requires_grad=True)
        for _ in range(5):
            (slope,) = torch.autograd.grad(loss(delta), delta)
            delta = (delta - 0.5 * slope).detach().requires_grad_()
        deltas.append(delta.detach())
    torch.testing.assert_close(deltas[1], deltas[0], **EXACT)


def test_dropping_owners_leaves_the_others_as_they_were(toy):
    lm = toy("llama")
    rows, targets = rows_of(lm, PROMPTS)
    delta = torch.full((len(PROMPTS), lm.d_model), 0.1, dtype=torch.float64)
    forward = PartialForward(lm, rows, 1)
    forward.drop({0, 3})
    kept = [i for i, row in enumerate(rows) if row.owner not in (0, 3)]
    expected = plain_loss(lm, [rows[i] for i in kept], [targets[i] for i in kept], 1, delta)
    torch.testing.assert_close(partial_loss(forward, targets, delta), expected, **EXACT)
    forward.drop({1, 2, 4})
    assert forward.batches == []


def test_the_model_is_itself_again_afterwards(toy):
    lm = toy("llama")
    rows, _ = rows_of(lm, PROMPTS)
    forward = PartialForward(lm, rows, 2)
    with pytest.raises(RuntimeError):
        forward.logits(forward.batches[0], torch.zeros(len(PROMPTS), 3, dtype=torch.float64))
    forward.logits(forward.batches[0], torch.zeros(len(PROMPTS), lm.d_model, dtype=torch.float64))
    assert all("forward" not in layer.__dict__ for layer in lm.layers)


def test_groups_stay_within_the_budget():
    rows = [Row(tuple(range(n)), n // 3, 0, (n - 1,)) for n in (3, 40, 7, 12, 12, 5, 30)]
    groups = grouped(rows, 50)
    assert sorted(i for group in groups for i in group) == list(range(7))
    for group in groups:
        width = max(rows[i].cut for i in group) + max(len(rows[i].ids) - rows[i].cut for i in group)
        assert len(group) == 1 or len(group) * width <= 50
