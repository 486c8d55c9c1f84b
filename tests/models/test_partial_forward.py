"""The forward equals the plain full forward pass: loss, gradient, and the value that descent arrives at, in float64."""

import pytest
import torch
from torch import Tensor

from core.models.language_model import LanguageModel
from core.models.packing import BATCH_COST, STORED, Row, batched, filled
from core.models.partial_forward import PartialForward
from core.models.prefix_tree import TREE_TOKENS
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
        log_p = forward.logits(batch, delta[batch.owners]).log_softmax(-1)
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
    delta = torch.zeros(len(PROMPTS), lm.d_model, dtype=torch.float64)

    def stop(*_):
        raise RuntimeError("in the middle")

    handle = lm.layers[3].register_forward_hook(stop)
    with pytest.raises(RuntimeError, match="in the middle"):
        forward.logits(forward.batches[0], delta[forward.batches[0].owners])
    handle.remove()
    forward.logits(forward.batches[0], delta[forward.batches[0].owners])
    assert all("forward" not in layer.__dict__ for layer in lm.layers)


def rows_like(sizes: list[tuple[int, int]]) -> list[Row]:
    return [Row(tuple(range(before + after)), before, 0, (before + after - 1,)) for before, after in sizes]


def test_lanes_hold_each_row_once_and_are_no_wider_than_the_longest_row():
    rows = rows_like([(3, 1), (20, 9), (4, 2), (8, 5), (0, 3), (30, 4), (2, 7), (90, 1), (5, 1), (6, 1)])
    lanes = filled(rows, range(1, 10), several=True)
    assert sorted(i for lane in lanes for i in lane.rows) == list(range(1, 10))
    for lane in lanes:
        assert lane.new == sum(rows[i].after for i in lane.rows) <= 9
        assert lane.stored == sum(rows[i].cut for i in lane.rows)
        assert lane.stored + lane.new <= TREE_TOKENS
    assert len(lanes) == 4  # 33 new tokens at nine to a lane
    assert all(len(lane.rows) == 1 for lane in filled(rows, range(10), several=False))
    assert filled(rows, [], several=True) == []


def test_a_row_longer_than_a_lane_may_be_stands_alone():
    rows = rows_like([(TREE_TOKENS + 5, 3), (2, 1)])
    assert [lane.rows for lane in filled(rows, [0, 1], several=True)] == [[0], [1]]


@pytest.mark.parametrize("several", [True, False])
def test_batches_stay_within_the_budget_and_have_little_padding(several):
    rows = rows_like([(i % 7, 1 + i * i % 13) for i in range(60)])
    lanes = filled(rows, range(60), several)
    batches = batched(lanes, 100)
    assert sorted(id(lane) for batch in batches for lane in batch) == sorted(map(id, lanes))
    for batch in batches:
        wide = max(lane.new for lane in batch)
        assert len(batch) * wide <= 100
        assert sum(wide - lane.new for lane in batch) <= BATCH_COST
    assert batched([], 100) == []


def test_lanes_with_many_stored_tokens_are_in_several_batches():
    lanes = filled(rows_like([(100, 1)] * 40), range(40), several=True)
    batches = batched(lanes, 100)
    assert all(len(batch) * 100 <= STORED * 100 for batch in batches)
    assert sum(map(len, batches)) == 40
