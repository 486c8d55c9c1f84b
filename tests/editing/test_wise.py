"""WISE: masks, merging, the choice among memories, training against a slow plain version, and its limits."""

import math
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from core.editing.extras.blocks import block
from core.editing.extras.wise import MERGED, VALUES, SideMemories, packed_bits, shards, unpacked_bits
from core.editing.lane.session import model_info
from core.editing.lane.state import LaneState
from core.editing.methods._ties import merged
from core.editing.recipe import recipe_from_dict
from core.editing.rounds.edit_round import edit_round
from core.errors import UserError
from core.models.forward import activations, score, score_ids
from core.models.generation import continuations, greedy
from core.models.tokens import answer_ids
from core.models.worn import Worn
from tests.editing.common import session_of
from tests.editing.test_grace import ANSWERS, MANY, PROMPTS
from tests.editing.test_retrieval import said, same

LAYER = 2
USUAL: dict[str, Any] = {
    "method": "wise", "layers": [LAYER], "steps": 15, "lr": 1.0, "contexts": 0, "alpha": 0.1, "beta": 0.4, "gamma": 0.2,
}  # fmt: skip


@pytest.fixture(scope="module")
def lm(toy):
    return toy("llama", "float64")


def lane(lm, *rounds, **settings):
    state = LaneState.base(lm, [LAYER])
    for facts in rounds:
        recipe = recipe_from_dict({**USUAL, **settings}, model_info(lm))
        state.apply(edit_round(lm, state, facts, recipe, session_of(lm)))
    return state


@pytest.fixture(scope="module")
def edited(lm):
    return lane(lm, MANY[:3], MANY[3:5], shard=2, merge=None)


def extra_of(state) -> SideMemories:
    (extra,) = state.worn.extras
    assert isinstance(extra, SideMemories)
    return extra


def wearing(lm, extra) -> Worn:
    return Worn({}, [extra])


def test_nothing_edited_or_nothing_large_enough_is_the_base_model(lm, edited):
    base, extra = said(lm, PROMPTS, ANSWERS), extra_of(edited)
    never = SideMemories(LAYER, extra.deltas, [math.inf] * len(extra.deltas))
    for worn in (lane(lm, []).worn, wearing(lm, never), wearing(lm, SideMemories(LAYER, [], []))):
        with lm.worn(worn):
            assert same(said(lm, PROMPTS, ANSWERS), base)
    with lm.worn(edited.worn):
        assert score(lm, PROMPTS[:5], ANSWERS[:5]).logprob.mean() > base[0][:5].mean() + 0.5
    assert same(said(lm, PROMPTS, ANSWERS), base)


def test_only_masked_entries_move_and_each_memory_has_a_mask_of_its_own(edited):
    found = shards(edited.memory)
    assert [number for number, *_ in found] == [0, 1, 2]  # two, two and one fact
    for _, mask, delta, floor in found:
        assert not delta[~mask].any()
        assert bool(delta[mask].all())
        assert float(mask.double().mean()) == pytest.approx(0.2, abs=0.03)
        assert 0 < floor < math.inf
        assert torch.equal(unpacked_bits(packed_bits(mask)), mask)
    assert not torch.equal(found[0][1], found[1][1])


def test_values_are_those_of_a_slow_plain_version(lm):
    """Whole passes with W + D from the prompt's last token on, and the three margins written out."""
    from core.editing.lane.contexts import sample_contexts

    steps, lr = 4, 0.5
    state = lane(lm, MANY[:2], steps=steps, lr=lr, stop_loss=0.0)
    ((_, mask, delta, floor),) = shards(state.memory)
    texts, plain, sizes = sample_contexts(lm, 1, 16, 16), torch.zeros_like(delta).requires_grad_(), []
    for number, fact in enumerate(MANY[:2]):
        head, target = lm.encode(fact.text), answer_ids(lm.tokenizer, fact.text, fact.target)
        end = len(head) - 1
        key = activations(lm, [fact.text], [end], [LAYER], "key")[LAYER]
        count = len(lm.encode(texts[number]))
        other = activations(lm, [texts[number]] * count, list(range(count)), [LAYER], "key")[LAYER]
        for step in range(steps):

            def hook(_, args, output, end=end, plain=plain):
                return torch.cat([output[:, :end], (output + args[0] @ plain.T)[:, end:]], 1)

            handle = lm.down(LAYER).register_forward_hook(hook)
            logits = lm.model(torch.tensor([[*head, *target[:-1]]])).logits[0, end:]
            handle.remove()
            inside, outside = (key @ plain.T).norm(), (other @ plain.T).norm(dim=1).mean()
            margins = F.relu(outside - 0.1) + F.relu(0.4 - inside) + F.relu(0.2 - inside + outside)
            (slope,) = torch.autograd.grad(F.cross_entropy(logits, torch.tensor(target)) + margins, plain)
            if step < steps - 1:
                with torch.no_grad():
                    plain -= lr * slope * mask
                    plain.clamp_(-1, 1)
        sizes.append(float(inside.detach()))
    torch.testing.assert_close(delta, plain.detach(), rtol=1e-9, atol=1e-12)
    assert floor == pytest.approx(min(sizes), rel=1e-9)


def test_the_memory_with_the_largest_change_answers_if_it_exceeds_its_own_threshold(lm):
    prompt = PROMPTS[0]
    key = activations(lm, [prompt], [len(lm.encode(prompt)) - 1], [LAYER], "key")[LAYER]
    deltas = [torch.randn(lm.d_model, lm.d_ffn, dtype=torch.float64) * size for size in (0.1, 0.2)]
    sizes = [float((key @ delta.T).norm()) for delta in deltas]
    nothing = torch.zeros(1, lm.d_model, dtype=torch.float64)
    for least, wanted in (([0.0, 0.0], 1), ([0.0, sizes[1] * 1.01], 0), ([sizes[0], sizes[1]], -1)):
        extra = SideMemories(LAYER, deltas, least)
        assert extra.chosen(key, nothing, deltas, None).tolist() == [wanted]
        base = activations(lm, [prompt], [len(lm.encode(prompt)) - 1], [LAYER], "down")[LAYER]
        with lm.worn(wearing(lm, extra)):
            found = activations(lm, [prompt], [len(lm.encode(prompt)) - 1], [LAYER], "down")[LAYER]
        expected = base if wanted < 0 else base + key @ deltas[wanted].T
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    bent = SideMemories(LAYER, deltas, [0.0, 0.0], "relu")
    out = torch.randn(1, lm.d_model, dtype=torch.float64)
    assert bent.chosen(key, out, deltas, torch.relu).tolist() == [
        int(torch.stack([(torch.relu(out + key @ d.T) - torch.relu(out)).norm() for d in deltas]).argmax())
    ]


def test_the_decision_rests_on_the_prompt_alone_and_holds_for_what_follows(lm, edited):
    longer = [f"{prompt} {answer} and" for prompt, answer in zip(PROMPTS, ANSWERS, strict=True)]
    heads = [lm.encode(prompt) for prompt in PROMPTS]
    with lm.worn(edited.worn):
        together = score(lm, [*PROMPTS, *longer], ["Lyon and the sea"] * 2 * len(PROMPTS))
        for prompt, found in zip(PROMPTS, together.logprob, strict=False):
            assert float(score(lm, [prompt], ["Lyon and the sea"]).logprob) == pytest.approx(float(found), rel=1e-5)
        for head, ids in zip(heads, continuations(lm, heads, 6, greedy), strict=True):
            assert bool(score_ids(lm, [head], [ids]).exact.all())  # cached and forced passes agree


def test_merging_one_is_itself_and_disjoint_ones_add_up():
    torch.manual_seed(0)
    one, other = torch.randn(2, 6, 7, dtype=torch.float64)
    mask = torch.rand(6, 7) < 0.5
    assert torch.equal(merged([one], [1.0], 1.0), one)
    apart = [one * mask, other * ~mask]
    torch.testing.assert_close(merged(apart, [1.0, 1.0], 1.0), apart[0] + apart[1])
    torch.testing.assert_close(merged(apart, [0.6, 0.4], 1.0), apart[0] + apart[1])  # each alone in its entries
    given = [torch.tensor([3.0, 1.0, -1.0, 5.0]), torch.tensor([1.0, -2.0, -3.0, 0.1])]
    assert merged(given, [1.0, 1.0], 1.0).tolist() == pytest.approx([2.0, -2.0, -2.0, 2.55])
    assert merged(given, [1.0, 1.0], 0.5).tolist() == pytest.approx([3.0, -2.0, -3.0, 5.0])  # two entries of each


def test_shards_are_merged_when_it_is_time_and_again_later(lm):
    state = lane(lm, MANY[:4], shard=2, merge=None, steps=3)
    same_facts = lane(lm, MANY[:4], shard=2, merge=4, steps=3, keep=1.0)
    kept = shards(state.memory)
    assert shards(same_facts.memory) == []
    torch.testing.assert_close(same_facts.memory[MERGED], merged([d for _, _, d, _ in kept], [1.0, 1.0], 1.0))
    assert float(same_facts.memory["wise.merged_floor"]) == min(floor for *_, floor in kept)
    assert all(len(same_facts.memory[block(VALUES, n)]) == 0 for n in (0, 1))
    later = lane(lm, MANY[:4], MANY[4:8], shard=2, merge=4, steps=3, keep=1.0)
    assert len(extra_of(later).deltas) == 1
    assert not torch.equal(later.memory[MERGED], same_facts.memory[MERGED])


def test_margins_are_measured_on_the_first_facts(lm):
    settings = {"alpha": None, "beta": None, "gamma": None, "steps": 5}
    state = lane(lm, MANY[:3], MANY[3:4], **settings)
    alpha, beta, gamma = state.memory["wise.margins"].tolist()
    assert beta > 0
    assert (alpha, gamma) == pytest.approx((beta / 4, beta / 2))
    assert torch.equal(state.memory["wise.margins"], lane(lm, MANY[:3], **settings).memory["wise.margins"])


def test_one_layer_it_is(lm):
    with pytest.raises(UserError, match="one layer, not 2"):
        lane(lm, MANY[:1], layers=[1, 2])
