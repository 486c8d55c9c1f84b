"""UltraEdit against a plain transcription, one token after the other (float64, 1e-8), and its identities."""

import pytest
import torch

from core.editing.deltas.ledger import Ledger
from core.editing.lane.method import Round
from core.editing.lane.state import LaneState
from core.editing.methods._gradients import answers, pushed_through, shift
from core.editing.rounds.edit_round import edit_round
from core.editing.rounds.effect import NO_CHANGE, silent
from core.models.tokens import answer_ids
from tests.editing.algebra import EXACT, eye, random
from tests.editing.common import FACTS, recipe_of, session_of

LAYERS = (0, 2)


def plain_tokens(lm, facts, layer: int, weights) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys and gradients of single facts: autograd on the model's own modules, whole passes of single rows."""
    keys, slopes = [], []

    def watch(_, args, out):
        out = out.detach().requires_grad_() if not out.requires_grad else out
        out.retain_grad()
        seen.append((args[0].detach(), out))
        return out

    for fact in facts:
        seen: list = []
        head, target = lm.encode(fact.text), answer_ids(lm.tokenizer, fact.text, fact.target)
        handle = lm.down(layer).register_forward_hook(watch)
        with lm.worn(weights), torch.enable_grad():
            logits = lm.model(input_ids=torch.tensor([[*head, *target[:-1]]]), use_cache=False).logits[0]
            (-sum(logits[len(head) - 1 + i].log_softmax(0)[t] for i, t in enumerate(target))).backward()
        handle.remove()
        key, out = seen[0]
        places = range(len(head) - 1, len(head) - 1 + len(target))
        keys += [key.reshape(-1, lm.d_ffn)[place] for place in places]
        slopes += [out.grad.reshape(-1, lm.d_model)[place] for place in places]
    return torch.stack(keys, 1), torch.stack(slopes, 1)


def standard(columns: torch.Tensor, so_far: torch.Tensor) -> torch.Tensor:
    """By the mean and sample variance of everything, number by number; 0 where nothing varies."""
    found = torch.zeros_like(columns)
    for i, row in enumerate(so_far):
        if float(row.max() - row.min()) > 1e-13:
            found[i] = (columns[i] - row.mean()) / row.std()
    return found


def plain_round(weight, keys, slopes, all_keys, all_slopes, eta, ridge) -> torch.Tensor:
    """U Kᵀ (K Kᵀ + a I)⁻¹ with an inverse of size d_in."""
    scaled, slope = standard(keys, all_keys), standard(slopes, all_slopes)
    asked = torch.stack([-eta * float(scaled[:, t] @ scaled[:, t]) * slope[:, t] for t in range(keys.shape[1])], 1)
    return asked @ keys.T @ torch.linalg.inv(keys @ keys.T + ridge * eye(len(keys)))


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("family", ["llama", "gpt2", "opt"])
def test_two_rounds_are_their_plain_transcription(toy, family, pooled):
    lm = toy(family, "float64")
    recipe = recipe_of(lm, method="ultraedit", layers=[0, 2], eta=1e-3, ridge=0.5, pooled=pooled)
    state, session = LaneState.base(lm, LAYERS), session_of(lm)
    history: dict = {layer: ([], []) for layer in LAYERS}
    for facts in (FACTS[:2], FACTS[2:]):
        found = {layer: plain_tokens(lm, facts, layer, state.weights) for layer in LAYERS}
        for layer in LAYERS:
            for side in (0, 1):
                history[layer][side].append(found[layer][side])
        update = edit_round(lm, state, facts, recipe, session)
        for layer in LAYERS:
            among = LAYERS if pooled else (layer,)
            so_far = [torch.cat([c for one in among for c in history[one][side]], 1) for side in (0, 1)]
            expected = plain_round(state.weights[layer], *found[layer], *so_far, 1e-3, 0.5)
            change = update.updates[layer].dense()
            torch.testing.assert_close(change, expected, rtol=1e-8, atol=1e-8 * float(expected.abs().max()))
        state.apply(update)


@pytest.mark.parametrize("n", [3, 14, 20])
def test_push_through(n):
    keys, asked = random(14, n, seed=n), random(6, n, seed=n + 1)
    expected = asked @ keys.T @ torch.linalg.inv(keys @ keys.T + 0.7 * eye(14))
    torch.testing.assert_close(asked @ pushed_through(keys, 0.7, 0).T, expected, **EXACT)


def test_one_token_without_standardisation_is_a_damped_gradient_step():
    key, slope = random(14, 1, seed=1), random(6, 1, seed=2)
    found = shift(key, slope, 0.01) @ pushed_through(key, 0.7, 0).T
    size = float(key.square().sum())
    torch.testing.assert_close(found, -0.01 * slope @ key.T * size / (size + 0.7), **EXACT)


def test_orthogonal_keys_give_the_sum_of_such_steps():
    keys = torch.linalg.qr(random(14, 4, seed=3))[0] * torch.tensor([1.0, 2.0, 0.5, 3.0])
    slopes = random(6, 4, seed=4)
    found = shift(keys, slopes, 0.01) @ pushed_through(keys, 0.7, 0).T
    steps = sum(
        -0.01 * torch.outer(slopes[:, t], keys[:, t]) * float(keys[:, t] @ keys[:, t]) ** 1
        * float(1 / (keys[:, t] @ keys[:, t] + 0.7)) for t in range(4)
    )  # fmt: skip
    torch.testing.assert_close(found, steps, **EXACT)


def test_without_gradients_nothing_is_asked():
    assert not shift(random(14, 3), torch.zeros(6, 3, dtype=torch.float64), 0.01).any()


@pytest.mark.parametrize("settings", [{"eta": 1e-3, "ridge": 0.5}, {"eta": None, "ridge": None}])
def test_the_order_of_the_facts_does_not_matter(toy, settings):
    lm = toy("llama", "float64")
    recipe = recipe_of(lm, method="ultraedit", layers=[1, 2], **settings)
    updates = [
        edit_round(lm, LaneState.base(lm, (1, 2)), facts, recipe, session_of(lm)).updates
        for facts in (FACTS, [FACTS[2], FACTS[0], FACTS[1]])
    ]
    for layer in (1, 2):
        change = updates[0][layer].dense()
        torch.testing.assert_close(updates[1][layer].dense(), change, rtol=1e-8, atol=1e-9 * float(change.abs().max()))


def test_the_batch_does_not_matter(toy):
    """Small batches, one row each, against one of all rows."""
    lm = toy("llama", "float64")
    recipe = recipe_of(lm, method="ultraedit", layers=[1])
    round_ = Round(lm, LaneState.base(lm, (1,)), FACTS, recipe, session_of(lm))
    whole, budget = answers(round_, recipe.method), lm.token_budget
    try:
        lm.token_budget = 1
        single = answers(round_, recipe.method)
    finally:
        lm.token_budget = budget
    torch.testing.assert_close(single.keys[1], whole.keys[1], **EXACT)
    torch.testing.assert_close(single.slopes[1], whole.slopes[1], **EXACT)
    torch.testing.assert_close(single.loss, whole.loss, **EXACT)


def test_measured_strengths_ask_for_what_they_say_and_stay_those_of_the_first_round(toy):
    lm = toy("llama", "float64")
    recipe = recipe_of(lm, method="ultraedit", layers=[1], eta=None, ridge=None, step=0.2, share=0.5)
    state, session = LaneState.base(lm, (1,)), session_of(lm)
    first = edit_round(lm, state, FACTS, recipe, session)
    keys, slopes = plain_tokens(lm, FACTS, 1, {})
    key, output = keys.square().sum(0).median(), (lm.original(1) @ keys).norm(dim=0).median()
    eta, ridge = 0.2 * float(output) / (lm.d_ffn * lm.d_model**0.5), 0.5 * float(key)
    expected = plain_round(lm.original(1), keys, slopes, keys, slopes, eta, ridge)
    change = first.updates[1].dense()
    torch.testing.assert_close(change, expected, rtol=1e-8, atol=1e-8 * float(expected.abs().max()))
    assert f"η = {eta:.3g} and a = {ridge:.3g}, as measured" in first.notes[0]
    state.apply(first)
    second = edit_round(lm, state, FACTS[:2], recipe, session)
    assert torch.equal(second.memory["ultraedit.sizes.1"], first.memory["ultraedit.sizes.1"])


def test_statistics_are_resumed_undone_and_branched(lm, tmp_path):
    recipe, ledger, state = recipe_of(lm, method="ultraedit", layers=[1, 2]), Ledger(tmp_path), None
    state = LaneState.base(lm, recipe.layers)
    counts, states = [], [state.copy()]
    for number, facts in enumerate((FACTS[:1], FACTS[1:2], FACTS[2:]), 1):
        update = edit_round(lm, state, facts, recipe, session_of(lm))
        ledger.append("lane", number, update)
        state.apply(update)
        states.append(state.copy())
        counts.append(int(state.memory["ultraedit.slopes.2"][0]))
    assert counts == sorted(set(counts))
    ledger.branch("branch", "lane", 2)
    for lane, upto in (("lane", 3), ("lane", 1), ("branch", 2)):
        rebuilt = ledger.rebuild(lm, lane, recipe.layers, upto)
        assert rebuilt.memory.keys() == states[upto].memory.keys()
        assert all(torch.equal(rebuilt.memory[name], states[upto].memory[name]) for name in rebuilt.memory)
    again = edit_round(lm, rebuilt, FACTS[2:], recipe, session_of(lm))
    for layer in recipe.layers:
        assert torch.equal(again.updates[layer].left, update.updates[layer].left)
        assert torch.equal(again.updates[layer].right, update.updates[layer].right)
    assert all(history.shape[1] == 0 for history in state.history.values())


def test_one_token_alone_edits_nothing_and_says_so(lm):
    fact = next(f for f in FACTS if len(answer_ids(lm.tokenizer, f.text, f.target[:1])) == 1)
    short = [type(fact)(subject=fact.subject, prompt=fact.prompt, target=fact.target[:1], truth=fact.truth)]
    recipe = recipe_of(lm, method="ultraedit", layers=[1])
    update = edit_round(lm, LaneState.base(lm, (1,)), short, recipe, session_of(lm))
    assert not update.updates[1].dense().any()
    assert "no variance yet" in update.notes[-1]
    said = silent(recipe, update, LaneState.base(lm, (1,)).sums)
    assert "raise step" in said[NO_CHANGE] or "raise eta" in said[NO_CHANGE]


def test_given_strengths_make_their_scales_idle(lm):
    assert set(recipe_of(lm, method="ultraedit", layers=[1], eta=1e-3, ridge=0.5).idle) == {"step", "share"}
    assert not recipe_of(lm, method="ultraedit", layers=[1], eta=None, ridge=None).idle
