"""Rows in trees: the same scores as one row at a time, each token run once; padded rows where trees cannot be had."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.models.forward import score_ids
from core.models.prefix_tree import TREE_TOKENS, prefix_trees, takes_prefix_trees, tree_passes

HEADS = [(5, 9, 11), (5, 9, 11), (5, 9, 12, 40), (5,), (7, 9), (5, 9, 11, 40), tuple(range(3, 60))]
TARGETS = [(40,), (40, 41, 42), (3, 2), (9, 11, 13), (1,), (41,), (8, 8)]
EXACT = {"rtol": 1e-6, "atol": 1e-6}  # results are kept in float32
FAMILIES = ["llama", "gpt2", "gpt_neox", "gptj", "opt", "qwen2", "mistral"]

rows_of_ids = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=9).map(tuple), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(rows_of_ids, st.integers(1, 40))
def test_every_row_is_a_path_of_its_pack_and_no_token_twice(rows, length):
    trees = prefix_trees(rows, length)
    found = {}
    for tree in trees:
        assert len(tree.ids) <= max(length, max(map(len, rows)))
        seen, beginnings = tree.sees(), set()
        for index, columns in tree.rows.items():
            found[index] = tuple(tree.ids[c] for c in columns)
            assert [tree.depths[c] for c in columns] == list(range(len(columns)))
            assert seen[columns[-1]].nonzero()[:, 0].tolist() == columns
            beginnings |= {rows[index][: i + 1] for i in range(len(rows[index]))}
        assert len(beginnings) == len(tree.ids)
    assert [found[i] for i in range(len(rows))] == rows


def plain(lm, head, target):
    log_p = lm.model(torch.tensor([[*head, *target[:-1]]]), use_cache=False).logits[0].log_softmax(-1)
    reads = log_p[len(head) - 1 :]
    return float(reads.gather(1, torch.tensor(target)[:, None]).mean()), reads.argmax(1) == torch.tensor(target)


@pytest.mark.parametrize("budget", [64, 4096])
@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_those_of_rows_alone(toy, family, budget):
    lm = toy(family)
    found = score_ids(lm, HEADS, TARGETS, budget)
    assert lm.takes_trees is True
    for i, (head, target) in enumerate(zip(HEADS, TARGETS, strict=True)):
        wanted, hits = plain(lm, head, target)
        torch.testing.assert_close(float(found.logprob[i]), wanted, **EXACT)
        assert found.hits[i].tolist() == hits.tolist()
        assert bool(found.exact[i]) == bool(hits.all())


def test_passes_stay_within_the_budget(toy):
    lm = toy("llama")
    rows = [(i % 7, i % 5, i % 3, i) for i in range(200)]
    passes = list(tree_passes(lm, rows, 300))
    assert sorted(i for one in passes for i in one.places) == list(range(200))
    assert all(one.inputs["input_ids"].numel() <= 300 for one in passes)
    assert all(one.inputs["input_ids"].shape[1] <= TREE_TOKENS for one in passes)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_model_that_does_not_take_packs_gets_padded_rows(toy, family, monkeypatch):
    lm = toy(family)
    expected = score_ids(lm, HEADS, TARGETS)
    monkeypatch.setattr(lm, "takes_trees", None)
    forward = type(lm.model).forward

    def deaf(self, *args, position_ids=None, **kwargs):  # takes positions, and does not use them
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(type(lm.model), "forward", deaf)
    found = score_ids(lm, HEADS, TARGETS)
    assert lm.takes_trees is False
    torch.testing.assert_close(found.logprob, expected.logprob, **EXACT)


def test_rows_longer_than_a_sliding_window_are_not_packed(toy, monkeypatch):
    lm = toy("mistral")
    monkeypatch.setattr(lm.config, "sliding_window", 16)
    assert takes_prefix_trees(lm, 16)
    assert not takes_prefix_trees(lm, 17)


def test_what_is_asked_while_edits_are_worn_is_tried_on_the_unedited_model(toy, monkeypatch):
    lm = toy("llama")
    monkeypatch.setattr(lm, "takes_trees", None)
    broken = {1: torch.full_like(lm.original(1), float("nan"))}
    with lm.worn(broken):
        assert torch.isnan(score_ids(lm, HEADS, TARGETS).logprob).all()
    assert lm.takes_trees is True
