"""NAS against a plain transcription (float64, 1e-9): lengths, skipped edits, the anchor and what keeps it."""

from dataclasses import replace

import pytest
import torch

from core.editing.deltas.ledger import Ledger
from core.editing.lane.results import Values
from core.editing.lane.state import LaneState
from core.editing.recipe import recipe_from_dict
from core.editing.rounds.edit_round import edit_round
from core.errors import UserError
from tests.editing.algebra import EXACT
from tests.editing.common import FACTS, recipe_of, session_of, values_of


def ffn_output(lm, fact, layer: int, weights) -> torch.Tensor:
    """What the FFN of a layer adds at the subject of one bare prompt."""
    text, last = lm.slot_last(fact.prompt, fact.subject)
    seen = []
    handle = lm.ffn_end(layer).register_forward_hook(lambda _, __, out: seen.append(out.reshape(-1, lm.d_model)[last]))
    with lm.worn(weights), torch.no_grad():
        lm.model(input_ids=torch.tensor([lm.encode(text)]), use_cache=False)
    handle.remove()
    return seen[0].double()


def lengths(lm, values: Values, facts, layer: int, weights) -> list[float]:
    outputs = torch.stack([ffn_output(lm, fact, layer, weights) for fact in facts], 1)
    return (outputs + values.delta).norm(dim=0).tolist()


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt"])
@pytest.mark.parametrize("method", ["memit", "rome", "pmet"])
def test_every_value_gets_the_anchors_length(toy, family, method):
    lm = toy(family, "float64")
    wrapper = {"name": "nas", "norm": 3.0, "factor": None}
    recipe = recipe_of(lm, method=method, layers=[1, 2], steps=6, wrapper=wrapper)
    update = edit_round(lm, LaneState.base(lm, (1, 2)), FACTS[:1], recipe, session_of(lm))
    assert lengths(lm, update.values, FACTS[:1], 2, {}) == pytest.approx([3.0], rel=1e-9)
    assert not update.memory


def test_a_round_is_its_plain_transcription(toy):
    """The authors' lines for one fact after the other, on an edited lane; the anchor from the unedited model."""
    lm, layers = toy("llama", "float64"), (1, 2)
    session, plain = session_of(lm), recipe_of(lm, layers=[1, 2], steps=6)
    recipe = recipe_of(lm, layers=[1, 2], steps=6, wrapper={"name": "nas", "drop": 0.34, "factor": 1.05})
    state, base = LaneState.base(lm, layers), LaneState.base(lm, layers)
    first = edit_round(lm, state, FACTS, recipe, session)
    sizes = sorted(lengths(lm, values_of(lm, base, FACTS, plain, session), FACTS, 2, {}))
    mean = sum(sizes[:2]) / 2
    assert float(first.memory["nas.2"]) == pytest.approx(mean, rel=1e-9)
    state.apply(first)
    second = edit_round(lm, state, FACTS, recipe, session)
    raw = values_of(lm, state, FACTS, plain, session)
    skipped = 0
    for i, fact in enumerate(FACTS):
        v0 = ffn_output(lm, fact, 2, state.weights)
        star = raw.delta[:, i] + v0
        if float(star.norm()) > 1.05 * mean:
            star, skipped = v0, skipped + 1
        else:
            star = star * mean / star.norm()
        torch.testing.assert_close(second.values.target[:, i], raw.start[:, i] - v0 + star, **EXACT)
    assert 0 < skipped < len(FACTS)
    assert f"{skipped} of 3 edits were skipped" in second.notes[-1]
    assert all(0 <= share < 2 for share in second.residual_before.values())  # of what is wanted at all
    assert float(second.memory["nas.2"]) == float(first.memory["nas.2"])


@pytest.mark.parametrize("method", ["memit", "alphaedit", "rome"])
def test_without_scale_and_factor_it_is_the_method(lm, method):
    wrapper = {"name": "nas", "factor": None, "scale": False}
    updates = [
        edit_round(lm, LaneState.base(lm, recipe.layers), FACTS, recipe, session_of(lm)).updates
        for recipe in (recipe_of(lm, method=method), recipe_of(lm, method=method, wrapper=wrapper))
    ]
    for layer, delta in updates[0].items():
        assert torch.equal(delta.left, updates[1][layer].left)
        assert torch.equal(delta.right, updates[1][layer].right)


def test_the_anchor_of_the_first_round_stays_through_replay_undo_and_branches(lm, tmp_path):
    recipe, ledger = recipe_of(lm, wrapper="nas", steps=6), Ledger(tmp_path)
    state = LaneState.base(lm, recipe.layers)
    for number, facts in enumerate((FACTS[:2], FACTS[2:]), 1):
        update = edit_round(lm, state, facts, recipe, session_of(lm))
        ledger.append("lane", number, update)
        state.apply(update)
    anchor = state.memory["nas.2"]
    ledger.branch("branch", "lane", 1)
    for lane, upto in (("lane", 2), ("lane", 1), ("branch", 1)):
        rebuilt = ledger.rebuild(lm, lane, recipe.layers, upto)
        assert torch.equal(rebuilt.memory["nas.2"], anchor)
    again = edit_round(lm, rebuilt, FACTS[2:], recipe, session_of(lm))
    for layer, delta in update.updates.items():
        assert torch.equal(again.updates[layer].left, delta.left)
        assert torch.equal(again.updates[layer].right, delta.right)
    elsewhere = edit_round(lm, LaneState.base(lm, recipe.layers), FACTS[2:], recipe, session_of(lm))
    assert not torch.equal(elsewhere.memory["nas.2"], anchor)


def test_a_round_of_which_all_edits_are_skipped_changes_next_to_nothing(lm):
    recipe = recipe_of(lm, wrapper={"name": "nas", "norm": 1e-4}, steps=3)
    update = edit_round(lm, LaneState.base(lm, recipe.layers), FACTS, recipe, session_of(lm))
    assert "3 of 3 edits were skipped" in update.notes[-1]
    assert set(update.residual_after.values()) == {0.0}
    assert max(delta.norm() for delta in update.updates.values()) < 1e-4 * float(lm.original(1).norm())


@pytest.mark.parametrize("method, why", [("ft_l", "no target values"), ("mose", "keep their length")])
def test_what_it_cannot_anchor_is_refused(method, why):
    with pytest.raises(UserError, match=f"NAS cannot be around .*{why}"):
        recipe_from_dict({"method": method, "wrapper": "nas"})


def test_lanes_name_it():
    recipe = recipe_from_dict({"method": "alphaedit", "wrapper": {"name": "nas", "factor": 5}})
    assert recipe.label == "AlphaEdit in NAS"
    assert recipe_from_dict(recipe.as_dict()) == recipe
    assert replace(recipe.wrapper, factor=2.0).norm is None
