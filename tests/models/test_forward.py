"""Batched scores and activations equal one plain forward pass per row."""

import pytest
import torch

from core.models.forward import activations, activations_at, score, score_ids, token_activations
from core.models.passes import batches, hosts
from core.models.prefix_tree import takes_prefix_trees
from core.models.tokens import answer_ids

PROMPTS = ["The capital of France is", "The capital of France is", "Ada Marlow was born in", "Bruno", "Bruno"]
ANSWERS = ["Paris", "Rome", "Vienna and works", "Keller speaks", "Keller"]
FAMILIES = ["llama", "gpt2", "gpt_neox", "gptj", "opt", "qwen2", "mistral"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("budget", [None, 1])
def test_scores(toy, family, budget):
    lm = toy(family)
    found = score(lm, PROMPTS, ANSWERS, budget)
    for i, (prompt, answer) in enumerate(zip(PROMPTS, ANSWERS, strict=True)):
        head, target = lm.encode(prompt), answer_ids(lm.tokenizer, prompt, answer)
        logits = lm.model(torch.tensor([head + target])).logits[0, len(head) - 1 : -1]
        log_p = logits.log_softmax(1).gather(1, torch.tensor(target)[:, None]).mean()
        assert float(found.logprob[i]) == pytest.approx(float(log_p), rel=1e-5)
        assert found.hits[i].tolist() == (logits.argmax(1) == torch.tensor(target)).tolist()
        assert bool(found.exact[i]) == bool((logits.argmax(1) == torch.tensor(target)).all())


def test_the_models_own_continuation_is_exact(toy):
    lm = toy("llama")
    head = lm.encode("The river")
    own = lm.model.generate(
        torch.tensor([head]),
        attention_mask=torch.ones(1, len(head), dtype=torch.long),
        max_new_tokens=4,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
    )[0, len(head) :].tolist()
    found = score_ids(lm, [head, head], [own, [*own[:-1], (own[-1] + 1) % 300]])
    assert found.exact.tolist() == [True, False]
    assert found.hits[1].tolist() == [True, True, True, False]


def test_no_rows(toy):
    assert len(score(toy("llama"), [], []).logprob) == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_activations(toy, family):
    lm = toy(family)
    close = {"rtol": 1e-4, "atol": 1e-5} if family == "gptj" else {}  # its attention is in float32 whatever its type
    positions = [2, 4, 3, 1, 0]
    blocks = activations(lm, PROMPTS, positions, [0, 2], "block", budget=12)
    keys = activations(lm, PROMPTS, positions, [2], "key")[2]
    downs = activations(lm, PROMPTS, positions, [2], "down")[2]
    for i, prompt in enumerate(PROMPTS):
        hidden = lm.model(torch.tensor([lm.encode(prompt)]), output_hidden_states=True).hidden_states
        for layer in (0, 2):
            torch.testing.assert_close(blocks[layer][i], hidden[layer + 1][0, positions[i]], **close)
    bias = lm.down(2).bias
    torch.testing.assert_close(downs, keys @ lm.original(2).T + (0 if bias is None else bias))
    some = activations_at(lm, [lm.encode(p) for p in PROMPTS], positions, [("key", 2), ("block", 0)])
    torch.testing.assert_close(some["key", 2], keys, **close)
    torch.testing.assert_close(some["block", 0], blocks[0], **close)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_shared_beginning_is_run_once_and_changes_nothing(toy, family):
    lm = toy(family)
    rows = [
        lm.encode(f"Therefore the river runs to the {end}") for end in ("sea", "river", "capital of Rome", "I", "s")
    ]
    positions = [len(row) - 1 for row in rows]
    sites = [("key", 2), ("block", 1), ("down", 0)]
    seen = []
    handle = lm.layers[0].register_forward_hook(lambda _, args, __: seen.append(args[0].shape[:2].numel()))
    together = activations_at(lm, rows, positions, sites)
    handle.remove()
    if takes_prefix_trees(lm, max(map(len, rows))):  # rows longer than a sliding window are run one by one
        assert sum(seen) < sum(len(row) for row in rows)
    for i, row in enumerate(rows):
        for site, states in activations_at(lm, [row], [positions[i]], sites).items():
            # GPT-J computes its attention in float32 whatever the model's type.
            rtol, atol = (1e-4, 1e-5) if family == "gptj" else (1e-9, 1e-9)
            torch.testing.assert_close(together[site][i], states[0], rtol=rtol, atol=atol)


def test_layers_above_are_not_run(toy):
    lm, ran = toy("llama"), []
    handle = lm.layers[3].register_forward_hook(lambda *_: ran.append(3))
    activations(lm, PROMPTS, [0] * 5, [1], "block")
    handle.remove()
    assert ran == []


def test_every_token(toy):
    lm = toy("gpt2")
    found = token_activations(lm, PROMPTS, [1], "block", budget=12)[1]
    plain = [lm.model(torch.tensor([lm.encode(p)]), output_hidden_states=True).hidden_states[2][0] for p in PROMPTS]
    torch.testing.assert_close(found, torch.cat(plain))


def test_an_unknown_site(toy):
    with pytest.raises(ValueError, match="no site"):
        activations(toy("llama"), PROMPTS, [0] * 5, [1], "soul")


def test_batches_hold_like_lengths_within_the_budget():
    lengths = [3, 50, 7, 7, 1, 12]
    found = batches(lengths, 20)
    assert sorted(i for batch in found for i in batch) == list(range(6))
    assert all(len(b) == 1 or len(b) * max(lengths[i] for i in b) <= 20 for b in found)
    assert batches([], 10) == []


def test_rows_are_read_from_the_rows_that_begin_with_them():
    rows = [(1, 2), (1, 2, 3), (1, 2, 3, 4), (1, 2, 5), (1,), (2,), (1, 3)]
    found = hosts(rows)
    assert found[(1,)] in {(1, 2, 3, 4), (1, 2, 5), (1, 3)}
    assert found[(1, 2)] in {(1, 2, 3, 4), (1, 2, 5)}
    assert found[(1, 2, 3)] == (1, 2, 3, 4)
    assert all(found[r] == r for r in [(1, 2, 3, 4), (1, 2, 5), (2,), (1, 3)])
