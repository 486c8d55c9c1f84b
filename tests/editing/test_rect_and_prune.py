"""RECT against a sort, PRUNE against its formula; and PRUNE's two tracks: what is worn, and what is edited on."""

import math

import pytest
import torch

from core.editing.deltas.ledger import Ledger
from core.editing.guards.prune import Prune
from core.editing.guards.rect import Rect
from core.editing.lane.state import LaneState
from core.editing.linalg.lowrank import LowRank, added, factored
from core.editing.linalg.subspace import svd
from core.editing.rounds.edit_round import edit_round, worn_instead
from core.errors import UserError
from tests.editing.algebra import EXACT, random
from tests.editing.common import FACTS, recipe_of, session_of

WEIGHT = random(7, 12, seed=3)
DELTA = LowRank(random(7, 3, seed=4), random(12, 3, seed=5))


@pytest.mark.parametrize("keep", [0.2, 0.4, 1.0])
def test_rect_keeps_the_relatively_largest_entries(keep):
    guard = Rect(keep=keep)
    found = guard.apply(DELTA, guard.prepare(WEIGHT, 0)).dense()
    change = DELTA.dense()
    ratio = (change.abs() / (WEIGHT.abs() + 1e-8)).flatten()
    stay = ratio.argsort(descending=True)[: round(keep * ratio.numel())]
    expected = torch.zeros_like(ratio)
    expected[stay] = change.flatten()[stay]
    assert torch.equal(found, expected.view_as(change))


def test_rect_looks_at_the_size_of_a_weight_not_at_its_sign():
    change = LowRank.full(torch.tensor([[1.0, 1.0, 1.0, 0.5]]))
    found = Rect(keep=0.5).apply(change, torch.tensor([[-0.0, -1.0, 2.0, 0.1]]))
    assert found.dense().tolist() == [[1.0, 0.0, 0.0, 0.5]]


@pytest.mark.parametrize("options", [{"alpha": 1.2}, {"alpha": math.e}, {"linear": True}])
def test_prune_is_its_formula(options):
    u, sigma, vh = torch.linalg.svd(5 * DELTA.dense(), full_matrices=False)
    guard = Prune(**options)
    most = guard.prepare(svd(WEIGHT), 0)
    assert most == pytest.approx(float(torch.linalg.svdvals(WEIGHT)[0]))
    expected = torch.zeros(7, 12, dtype=torch.float64)
    for i in range(7):
        size = float(sigma[i])
        if size > most:
            log = math.log(size, options.get("alpha", 2)) - math.log(most, options.get("alpha", 2)) + most
            size = (size + most) / 2 if options.get("linear") else log
        expected += size * torch.outer(u[:, i], vh[i])
    found = guard.apply(DELTA.scaled(5.0), most).dense()
    torch.testing.assert_close(found, expected, **EXACT)
    assert not torch.allclose(found, 5 * DELTA.dense())
    bug = Prune(**options, alphaedit_repo_bug=True).apply(DELTA.scaled(5.0), most).dense()
    torch.testing.assert_close(bug, 5 * DELTA.dense() + expected, **EXACT)


def test_prune_leaves_small_changes_alone():
    assert Prune().apply(DELTA, 1e3) is DELTA


def test_factors_hold_a_matrix():
    low = random(8, 2) @ random(2, 20, seed=1)
    assert factored(low, torch.float32).columns == 2
    torch.testing.assert_close(factored(low, torch.float64).dense(), low, **EXACT)
    full = random(8, 20)
    assert torch.equal(factored(full, torch.float64).dense(), full)
    assert factored(torch.zeros(3, 4), torch.float32).columns == 0


def strong(lm, *guards: dict):
    return recipe_of(lm, *guards, method="ft_m", layers=[1], lr=0.1, steps=6)


def two_rounds(lm, recipe, session, ledger: Ledger | None = None) -> list[LaneState]:
    state, seen = LaneState.base(lm, recipe.layers), []
    for number, facts in enumerate((FACTS[:2], FACTS[2:]), 1):
        update = edit_round(lm, state, facts, recipe, session)
        if ledger is not None:
            ledger.append("lane", number, update)
        state.apply(update)
        seen.append(state.copy())
    return seen


def test_the_pruned_change_is_worn_and_the_whole_one_edited_on(lm, session, tmp_path):
    ledger = Ledger(tmp_path)
    plain = two_rounds(lm, strong(lm), session)
    lane = two_rounds(lm, strong(lm, {"name": "prune", "alpha": 2.0}), session, ledger)
    original = lm.original(1)
    most = float(torch.linalg.svdvals(original.double())[0])
    for without, state in zip(plain, lane, strict=True):
        assert torch.equal(state.sums[1], without.weights[1])
        assert not torch.equal(state.weights[1], state.sums[1])
        change = LowRank.full((state.sums[1] - original).double())
        expected = Prune(alpha=2.0).apply(change, most).dense()
        torch.testing.assert_close((state.weights[1] - original).double(), expected, rtol=1e-4, atol=1e-5)
    for number, state in enumerate(lane, 1):
        again = ledger.rebuild(lm, "lane", (1,), number)
        assert torch.equal(again.weights[1], state.weights[1])
        assert torch.equal(again.sums[1], state.sums[1])
    with pytest.raises(UserError, match="round 1 cannot be left out and round 2 kept"):
        ledger.rebuild(lm, "lane", (1,), without=[1])
    assert torch.equal(ledger.rebuild(lm, "lane", (1,), without=[2]).weights[1], lane[0].weights[1])


@pytest.mark.parametrize("every_round", [False, True])
def test_a_round_left_out_of_a_pruned_lane_is_as_if_it_had_never_been_added(lm, session, tmp_path, every_round):
    """What is worn is the pruned sum of the rounds that are kept: of a lane, and of its branch."""
    ledger, recipe = Ledger(tmp_path), strong(lm, {"name": "prune", "alpha": 2.0, "every_round": every_round})
    two_rounds(lm, recipe, session, ledger)
    ledger.branch("branch", "lane", 1)
    kept = ledger.read("lane", 2)
    ledger.append("branch", 2, kept)
    asked = []

    def worn(lane, sums):
        asked.append(lane)
        return worn_instead(lm, recipe, session, sums)

    original = lm.original(1)
    second = kept.updates[1].dense()
    for lane in ("lane", "branch"):
        found = ledger.rebuild(lm, lane, (1,), without=[1], worn=worn)
        assert torch.equal(found.sums[1], added(original, kept.updates[1]))
        if every_round:
            assert torch.equal(found.weights[1], found.sums[1])
            continue
        u, sigma, vh = torch.linalg.svd(second.double(), full_matrices=False)
        most = float(torch.linalg.svdvals(original.double())[0])
        assert float(sigma[0]) > most
        less = torch.where(sigma > most, (sigma / most).clamp(min=1).log() / math.log(2) + most, sigma)
        torch.testing.assert_close((found.weights[1] - original).double(), u * less @ vh, rtol=1e-4, atol=1e-5)
    assert asked == ["lane", "branch"]
    for without in ([2], [1, 2], []):
        plain, again = (ledger.rebuild(lm, "lane", (1,), without=without, worn=one) for one in (None, worn))
        assert torch.equal(plain.weights[1], again.weights[1])
    assert len(asked) == 2


def test_going_on_from_the_pruned_weights(lm, session):
    lane = two_rounds(lm, strong(lm, {"name": "prune", "every_round": True}), session)
    assert all(torch.equal(state.weights[1], state.sums[1]) for state in lane)
    assert not torch.allclose(lane[1].weights[1], two_rounds(lm, strong(lm), session)[1].weights[1])


def test_guards_after_prune_act_on_the_pruned_change(lm, session):
    state = two_rounds(lm, strong(lm, {"name": "prune"}, {"name": "revive", "tau": 0.3}), session)[-1]
    change = (state.weights[1] - lm.original(1)).double()
    u, sigma, _ = torch.linalg.svd(lm.original(1).double(), full_matrices=False)
    k = int((sigma.cumsum(0) / sigma.sum() < 0.3).sum()) + 1
    assert float((u[:, :k].T @ change).norm()) < 1e-4 * float(change.norm())
    unpruned = (state.sums[1] - lm.original(1)).double()
    assert float((u[:, :k].T @ unpruned).norm()) > 0.01 * float(unpruned.norm())


def rect_round(lm, session, *guards: dict):
    recipe = recipe_of(lm, *guards)
    return recipe, edit_round(lm, LaneState.base(lm, recipe.layers), FACTS, recipe, session)


def test_rect_acts_once_all_layers_are_solved(lm, session):
    """The authors' order: what a lane without a guard solves, of which each layer's update is filtered afterwards."""
    _, plain = rect_round(lm, session)
    recipe, update = rect_round(lm, session, {"name": "rect", "keep": 0.2})
    assert (recipe.layer_guards, recipe.round_guards) == ((), recipe.guards)
    for layer in recipe.layers:
        assert torch.equal(update.raw[layer].dense(), plain.updates[layer].dense())
        change, original = plain.updates[layer].dense().double(), lm.original(layer)
        ratio = change.abs() / (original.double().abs() + 1e-8)
        least = ratio.flatten().sort(descending=True).values[round(0.2 * ratio.numel()) - 1]
        expected = torch.where(ratio >= least, change, 0.0)
        torch.testing.assert_close(update.updates[layer].dense().double(), expected, rtol=1e-5, atol=1e-9)
        taken = 1 - float((expected**2).sum() / (change**2).sum())
        assert update.removed_share[layer] == pytest.approx(taken, rel=1e-4)
    assert update.residual_before == plain.residual_before  # the solve did not hear of it
    assert update.residual_after[recipe.layers[-1]] > plain.residual_after[recipe.layers[-1]]  # what is left did


def test_within_a_layer_the_next_ones_make_up_for_what_rect_cuts(lm, session):
    _, plain = rect_round(lm, session)
    recipe, update = rect_round(lm, session, {"name": "rect", "keep": 0.2, "when": "within"})
    first, last = recipe.layers[0], recipe.layers[-1]
    assert torch.equal(update.raw[first].dense(), plain.updates[first].dense())
    assert update.residual_before[last] > plain.residual_before[last]
    assert update.raw[last].norm() > 1.05 * plain.raw[last].norm()


def test_guards_after_rect_act_after_all_layers_too_and_revive_by_itself_within_each(lm, session):
    revive = {"name": "revive", "tau": 0.3}
    recipe, update = rect_round(lm, session, {"name": "rect"}, revive)
    assert (recipe.layer_guards, recipe.round_guards) == ((), recipe.guards)
    for layer, delta in update.updates.items():
        u, sigma, vh = torch.linalg.svd(lm.original(layer).double(), full_matrices=False)
        k = int((sigma.cumsum(0) / sigma.sum() < 0.3).sum()) + 1
        change = delta.dense().double()
        assert float((u[:, :k].T @ change).norm()) + float((change @ vh[:k].T).norm()) < 1e-5 * float(change.norm())
    recipe, _ = rect_round(lm, session, revive, {"name": "rect"})
    assert (recipe.layer_guards, recipe.round_guards) == (recipe.guards[:1], recipe.guards[1:])


def test_a_sparse_round_is_recorded_in_full(lm, tmp_path):
    session, ledger = session_of(lm), Ledger(tmp_path)
    recipe = recipe_of(lm, {"name": "rect", "keep": 0.2})
    state = LaneState.base(lm, recipe.layers)
    update = edit_round(lm, state, FACTS, recipe, session)
    ledger.append("lane", 1, update)
    state.apply(update)
    rebuilt = ledger.rebuild(lm, "lane", recipe.layers)
    for layer in recipe.layers:
        assert torch.equal(rebuilt.weights[layer], state.weights[layer])
        share = float((state.weights[layer] != lm.original(layer)).double().mean())
        assert share == pytest.approx(0.2, abs=0.01)
        assert 0 < update.removed_share[layer] < 1
