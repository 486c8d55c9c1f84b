"""The released code's MOSE: turns of a weight's inputs, trained."""

import math

import pytest
import torch

from core.editing.deltas.ledger import Ledger
from core.editing.failure import EditFailure
from core.editing.lane.state import LaneState
from core.editing.methods._oft import capped, cayley, reached, skew, skew_of, through_blocks, turn_between
from core.editing.recipe import recipe_from_dict
from core.editing.rounds.edit_round import edit_round
from core.errors import UserError
from tests.editing.common import FACTS, recipe_of, session_of

TIGHT = {"rtol": 0, "atol": 1e-12}


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def oft_of(lm, *guards: dict, **settings: object):
    return recipe_of(lm, *guards, **{"method": "mose_oft", "layers": [1, 2], "lr": 0.003, "steps": 4, **settings})


def test_cayleys_map():
    free = random(2, 5, 5)
    turn = cayley(skew(free))
    for block, a in zip(turn, free, strict=True):
        s, eye = (a - a.T) / 2, torch.eye(5, dtype=torch.float64)
        torch.testing.assert_close(block, (eye - s) @ torch.linalg.inv(eye + s), **TIGHT)
        torch.testing.assert_close(block.T @ block, eye, **TIGHT)
    torch.testing.assert_close(skew_of(turn), skew(free), rtol=0, atol=1e-10)


def by_lu(skew: torch.Tensor) -> torch.Tensor:
    """(I − S)(I + S)⁻¹ block by block, as it stands in the paper's code."""
    eye = torch.eye(skew.shape[-1], dtype=skew.dtype)
    return torch.stack([torch.linalg.solve((eye + s).T, (eye - s).T).T for s in skew])


@pytest.mark.parametrize("size", [1e-4, 0.1, 1.0, 30.0, 1000.0])
def test_cayleys_map_by_cholesky_is_that_by_lu(size):
    """And its gradient: to ε (1 + ‖S‖²), here 1e-12 up to ‖S‖ = 1 and 1e-8 at a thousand (turns of 179.9°)."""
    free = random(3, 40, 40)
    free = free * (size / torch.linalg.matrix_norm(skew(free), 2).max())
    some = random(3, 40, 40, seed=1)
    found, expected = ([a := free.clone().requires_grad_(), turn(skew(a))] for turn in (cayley, by_lu))
    near = {"rtol": 0, "atol": 1e-14 * (100 + size**2)}
    torch.testing.assert_close(found[1], expected[1], **near)
    torch.testing.assert_close(found[1].mT @ found[1], torch.eye(40, dtype=torch.float64).expand(3, 40, 40), **near)
    for _, turn in (found, expected):
        (turn * some).sum().backward()
    scale = float(expected[0].grad.abs().max())
    torch.testing.assert_close(found[0].grad / scale, expected[0].grad / scale, **near)
    torch.testing.assert_close(skew_of(expected[1].detach()), skew(free), rtol=0, atol=near["atol"] * max(size, 1))


def test_a_batch_of_larger_blocks_returns():
    """4 × 512 × 512, two threads: what LU does not come back from on some processors."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        free = (0.01 * random(4, 512, 512)).requires_grad_()
        turn = cayley(skew(free))
        turn.sum().backward()
        found = skew_of(turn.detach())
    finally:
        torch.set_num_threads(before)
    assert bool(torch.isfinite(free.grad).all())
    torch.testing.assert_close(found, skew(free.detach()), rtol=0, atol=1e-12)


def angle(theta: float) -> torch.Tensor:
    theta = torch.tensor(theta, dtype=torch.float64)
    return torch.stack([torch.stack([theta.cos(), -theta.sin()]), torch.stack([theta.sin(), theta.cos()])])[None]


def test_half_a_turn_has_no_parameter():
    near = angle(math.pi - 1e-4)
    torch.testing.assert_close(cayley(skew_of(near)), near, rtol=0, atol=1e-6)
    for impossible in (angle(math.pi), angle(math.pi - 1e-9), -torch.eye(3, dtype=torch.float64)[None]):
        with pytest.raises(EditFailure, match="180°"):
            skew_of(impossible)
    with pytest.raises(EditFailure, match=r"Layer 7: .*persistent"):
        reached(random(6, 8), -random(6, 8), 2, 7)


def test_blocks_turn_their_own_inputs():
    weight, turn = random(3, 8), cayley(skew(random(2, 4, 4, seed=1)))
    torch.testing.assert_close(through_blocks(weight, turn), weight @ torch.block_diag(*turn).T, **TIGHT)


def test_the_turn_is_read_off_the_weights():
    tall, turn = random(6, 8), cayley(0.1 * skew(random(2, 4, 4, seed=1)))
    torch.testing.assert_close(turn_between(tall, through_blocks(tall, turn), 2), turn, rtol=0, atol=1e-10)
    flat = random(3, 8)  # its blocks have null spaces: the weights are reached, by some Q
    found = turn_between(flat, through_blocks(flat, turn), 2)
    torch.testing.assert_close(through_blocks(flat, found), through_blocks(flat, turn), rtol=0, atol=1e-8)


def test_a_cap_is_a_ball():
    free = {0: random(2, 4, 4).requires_grad_()}
    small = free[0].detach()[1].clone() * 1e-3
    free[0].data[1] = small
    capped(free, 0.5)
    sizes = skew(free[0].detach()).flatten(1).norm(dim=1)
    assert float(sizes[0]) == pytest.approx(0.5)
    assert torch.equal(free[0].detach()[1], small)
    capped(free, None)


@pytest.mark.parametrize("persistent", [True, False])
def test_rounds_lower_the_loss_and_keep_the_norm(toy, tmp_path, persistent):
    lm = toy("llama", "float64")
    session, recipe, ledger = session_of(lm), oft_of(lm, persistent=persistent), Ledger(tmp_path)
    state = LaneState.base(lm, recipe.layers)
    for number, facts in enumerate((FACTS[:1], FACTS[1:]), 1):
        update = edit_round(lm, state, facts, recipe, session)
        assert float(update.values.loss.mean()) < float(update.values.loss_start.mean())
        ledger.append("lane", number, update)
        state.apply(update)
    rebuilt = ledger.rebuild(lm, "lane", recipe.layers)
    for layer in recipe.layers:
        before, after = lm.original(layer), state.weights[layer]
        assert float((after - before).norm()) > 1e-3
        for old, new in zip(before.chunk(4, 1), after.chunk(4, 1), strict=True):
            torch.testing.assert_close(torch.linalg.svdvals(new), torch.linalg.svdvals(old), rtol=1e-9, atol=1e-11)
        assert torch.equal(rebuilt.weights[layer], after)


def test_the_gradient_is_that_of_the_whole(toy):
    """One step of Adam against autograd through everything at once."""
    from torch.nn import functional as F

    from core.editing.lane.method import Round
    from core.editing.methods._fine_tuning import lesson, through
    from core.editing.methods._oft import orthogonally_tuned

    lm = toy("llama", "float64")
    session, recipe = session_of(lm), oft_of(lm, steps=1, layers=[1])
    found, _ = orthogonally_tuned(Round(lm, LaneState.base(lm, [1]), FACTS[:1], recipe, session), recipe.method)
    free = torch.zeros(4, lm.d_ffn // 4, lm.d_ffn // 4, dtype=torch.float64, requires_grad=True)
    one = lesson(lm, FACTS[0], recipe.method.teacher_forced)
    with torch.enable_grad():
        weight = through_blocks(lm.original(1), cayley(skew(free)))
        with through(lm, {1: weight}):
            logits = lm.model(torch.tensor([one.ids])).logits[0, one.reads]
        F.cross_entropy(logits, torch.tensor(one.wanted)).backward()
    stepped = -recipe.method.lr * free.grad / (free.grad.abs() + 1e-8)
    expected = through_blocks(lm.original(1), cayley(skew(stepped)))
    torch.testing.assert_close(found[1], expected, rtol=1e-6, atol=1e-8)


def test_what_does_not_fit_is_told(toy):
    lm = toy("llama")
    recipe = oft_of(lm, blocks=7)
    with pytest.raises(UserError, match="80 inputs cannot be split into 7 blocks"):
        edit_round(lm, LaneState.base(lm, recipe.layers), FACTS, recipe, session_of(lm))


def test_usual_settings():
    from core.editing.settings.defaults import ModelInfo

    llama = recipe_from_dict({"method": "mose_oft"}, ModelInfo("meta-llama/Meta-Llama-3-8B", "llama", 32))
    assert llama.layers == (19, 20, 21)
    assert recipe_from_dict({"method": "mose_oft"}, ModelInfo("own", "llama", 2)).layers == (0, 1)
