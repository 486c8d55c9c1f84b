"""MELO: the database's rules, one decision per prompt, blocks against a slow plain version, and its limits."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from core.editing.extras.melo import RADII, Adapters
from core.editing.lane.method import Round
from core.editing.lane.session import model_info
from core.editing.lane.state import LaneState
from core.editing.methods._blocks import started
from core.editing.methods._clusters import EMPTY, Clusters
from core.editing.recipe import recipe_from_dict
from core.editing.rounds.edit_round import edit_round
from core.errors import UserError
from core.models.forward import activations, score, score_ids
from core.models.generation import continuations, greedy
from core.models.tokens import answer_ids
from tests.editing.common import session_of
from tests.editing.test_grace import ANSWERS, MANY, PROMPTS
from tests.editing.test_retrieval import said, same

LAYERS = [1, 2, 3]
USUAL: dict[str, Any] = {
    "method": "melo", "layers": LAYERS, "steps": 40, "lr": 0.05, "eps": 0.01, "per_block": 2,
    "stop_loss": 0.02,
}  # fmt: skip


@pytest.fixture(scope="module")
def lm(toy):
    return toy("llama", "float64")


def recipe(lm, **settings):
    return recipe_from_dict({**USUAL, **settings}, model_info(lm))


def lane(lm, *rounds, **settings):
    state = LaneState.base(lm, LAYERS)
    for facts in rounds:
        state.apply(edit_round(lm, state, facts, recipe(lm, **settings), session_of(lm)))
    return state


@pytest.fixture(scope="module")
def edited(lm):
    return lane(lm, MANY[:6], MANY[6:])


def extra_of(state) -> Adapters:
    (extra,) = state.worn.extras
    assert isinstance(extra, Adapters)
    return extra


def test_edited_prompts_answer_and_others_are_the_base_model_bit_for_bit(lm, edited):
    other = ["The capital of Italy is", "Ada Marlow works as a"]
    base, plain = said(lm, PROMPTS, ANSWERS), said(lm, other, ["Rome", "baker"])
    with lm.worn(edited.worn):
        found = said(lm, PROMPTS, ANSWERS)
        assert same(said(lm, other, ["Rome", "baker"]), plain)
    assert (found[0] > base[0] + 0.5).all()
    assert [len(part) for part in extra_of(edited).a.values()] == [5, 5]  # 6 + 4 facts, two a block
    assert same(said(lm, PROMPTS, ANSWERS), base)


def test_without_facts_a_radius_or_a_learnt_block_it_is_the_base_model(lm, edited):
    base = said(lm, PROMPTS, ANSWERS)
    off = {name: torch.full_like(t, EMPTY) if name.startswith(RADII) else t for name, t in edited.memory.items()}
    zero = {name: torch.zeros_like(t) if name.startswith("melo.b") else t for name, t in edited.memory.items()}
    for memory in (off, zero, lane(lm, []).memory):
        with lm.worn(replace(edited, memory=memory).worn):
            assert same(said(lm, PROMPTS, ANSWERS), base)
    unlearnt = started(Round(lm, edited, MANY, recipe(lm), session_of(lm)), recipe(lm).method, 0, 3)
    assert all(not b.any() and bool(a.any()) for a, b in unlearnt.values())


def test_scores_are_those_of_blocks_put_on_by_hand_and_rest_on_the_prompt_alone(lm, edited):
    """From the prompt's last token on B A x is added; alone, batched, beside longer prompts, forced or generated."""
    extra, fact = extra_of(edited), replace(MANY[3], target="Lyon and the old river")
    head, target = lm.encode(fact.text), answer_ids(lm.tokenizer, fact.text, fact.target)
    query = activations(lm, [fact.text], [len(head) - 1], [LAYERS[0]], "down")[LAYERS[0]]
    block = int(extra.database.to(lm.device).chosen(query)[0])
    assert block == 1  # the second block of the first round
    handles = []
    for layer in extra.adapted:

        def hook(_, args, output, a=extra.a[layer][block], b=extra.b[layer][block]):
            return torch.cat([output[:, : len(head) - 1], (output + args[0] @ a.T @ b.T)[:, len(head) - 1 :]], 1)

        handles.append(lm.down(layer).register_forward_hook(hook))
    with torch.no_grad():
        logits = lm.model(torch.tensor([[*head, *target[:-1]]])).logits[0, len(head) - 1 :]
    for handle in handles:
        handle.remove()
    plain = torch.log_softmax(logits, 1)[range(len(target)), target].mean()
    longer = [f"{prompt} {answer} and" for prompt, answer in zip(PROMPTS, ANSWERS, strict=True)]
    base = score(lm, longer, ["the sea"] * len(longer)).logprob
    with lm.worn(edited.worn):
        torch.testing.assert_close(score_ids(lm, [head], [target]).logprob[0], plain.float(), rtol=1e-6, atol=1e-6)
        together = score(lm, [*PROMPTS, *longer], [*[fact.target] * len(PROMPTS), *["the sea"] * len(longer)])
        assert float(together.logprob[3]) == pytest.approx(float(plain), rel=1e-6)
        (ids,) = continuations(lm, [head], 6, greedy)
        assert bool(score_ids(lm, [head], [ids]).exact.all())  # the cached pass and the forced one agree
    torch.testing.assert_close(together.logprob[len(PROMPTS) :], base, rtol=1e-6, atol=1e-6)


def test_a_block_is_that_of_a_slow_plain_version_and_others_keep_their_bytes(lm):
    steps, lr = 6, 0.05
    once = lane(lm, MANY[:2], MANY[2:5], steps=steps, lr=lr, halve=2, stop_loss=0.0)
    before = lane(lm, MANY[:2], steps=steps, lr=lr, halve=2, stop_loss=0.0)
    assert all(torch.equal(once.memory[name], tensor) for name, tensor in before.memory.items() if ".a." in name)
    round_ = Round(lm, LaneState.base(lm, LAYERS), MANY, recipe(lm), session_of(lm))
    factors = started(round_, recipe(lm).method, 1, 1)  # the second round's first block, of facts 2 and 3
    params = [part[0].clone().requires_grad_() for pair in factors.values() for part in pair]
    adam = torch.optim.Adam(params, lr=lr)
    for step in range(steps):
        loss = torch.zeros((), dtype=torch.float64)
        for fact in MANY[2:4]:
            head, target = lm.encode(fact.text), answer_ids(lm.tokenizer, fact.text, fact.target)
            handles, end = [], len(head) - 1
            for layer, a, b in zip(LAYERS[1:], params[::2], params[1::2], strict=True):

                def hook(_, args, output, a=a, b=b, end=end):
                    return torch.cat([output[:, :end], (output + args[0] @ a.T @ b.T)[:, end:]], 1)

                handles.append(lm.down(layer).register_forward_hook(hook))
            logits = lm.model(torch.tensor([[*head, *target[:-1]]])).logits[0, len(head) - 1 :]
            loss = loss + F.cross_entropy(logits, torch.tensor(target)) / 2
            for handle in handles:
                handle.remove()
        adam.zero_grad()
        loss.backward()
        for group in adam.param_groups:
            group["lr"] = lr * 0.5 ** (step // 2)
        adam.step()
    extra = extra_of(once)
    for layer, a, b in zip(LAYERS[1:], params[::2], params[1::2], strict=True):
        torch.testing.assert_close(extra.b[layer][1] @ extra.a[layer][1], b @ a, rtol=1e-5, atol=1e-8)


def test_clusters_are_founded_joined_split_and_forgotten():
    def query(*numbers: float) -> torch.Tensor:
        return torch.tensor(numbers, dtype=torch.float64)

    book = Clusters.of({}, 2)
    assert book.place(query(1, 0), [1], 0, 1.0) == 0
    assert book.place(query(6, 0), [1], 0, 1.0) == 1  # far: a cluster of its own, whatever its target
    assert book.place(query(2.8, 0), [1], 1, 1.0) == 0  # near, same target: the center moves to the mean
    assert book.centers[0].tolist() == [1.9, 0]
    assert book.radii == [1.0, 1.0]
    assert book.place(query(1.9, 1.5), [2], 2, 1.0) == 2  # near, another target: two balls of half the distance
    assert book.radii[2] == pytest.approx(0.75)
    assert book.radii[0] < 0.75
    assert [cluster for cluster, _ in book.members] == [-1, 1, -1, 2]  # points outside of the smaller ball are gone,
    assert book.radii[0] == EMPTY  # and a cluster without points with them
    assert book.place(query(6, 0), [7, 8], 3, 1.0) == 3  # the same prompt: its earlier point is forgotten
    assert book.members[1] == [-1, 0]
    assert book.radii[1] == EMPTY
    assert book.radii[3] == 1.0


def test_a_new_target_wins_and_a_shared_target_is_one_cluster_with_the_nearest_points_block(lm):
    state = lane(lm, MANY[:2])
    again = replace(MANY[0], target="Lyon")
    state.apply(edit_round(lm, state, [again], recipe(lm), session_of(lm)))
    with lm.worn(state.worn):
        assert bool(score(lm, [again.text], ["Lyon"]).exact.all())
    one = [replace(fact, target="Rome") for fact in MANY[:4]]
    extra = extra_of(lane(lm, one, eps=100.0, per_block=1, steps=2))
    assert len(extra.database.centers) == 1
    queries = activations(lm, PROMPTS[:4], [len(lm.encode(p)) - 1 for p in PROMPTS[:4]], [LAYERS[0]], "down")[LAYERS[0]]
    assert extra.database.to(lm.device).chosen(queries).tolist() == [0, 1, 2, 3]


def test_over_plain_text_each_token_decides_for_itself(lm, edited):
    text = PROMPTS[0] + " and the river"
    end, last = len(lm.encode(PROMPTS[0])) - 1, len(lm.encode(text)) - 1
    states = {}
    for name, worn in (("base", {}), ("worn", edited.worn)):
        with lm.worn(worn):
            states[name] = [activations(lm, [text], [at], [2], "down")[2] for at in (end - 1, end, last)]
    moved = [not torch.equal(a, b) for a, b in zip(states["base"], states["worn"], strict=True)]
    assert moved == [False, True, False]


def test_a_database_and_blocks_it_is(lm):
    with pytest.raises(UserError, match="a layer for its database"):
        lane(lm, MANY[:1], layers=[2])
