"""Any round is rebuilt bit for bit as it was live; undo leaves chosen rounds out."""

import json
import os

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from core.editing.deltas.ledger import Ledger
from core.editing.lane.state import LaneState, LayerUpdates
from core.editing.linalg.lowrank import LowRank
from core.editing.rounds.edit_round import edit_round
from core.errors import UserError
from tests.editing.common import FACTS, recipe_of, session_of

LANE = 'MEMIT + REVIVE τ=0.1 / "mine"'
LAYERS = [0, 2]


def random_update(lm, seed: int) -> LayerUpdates:
    g = torch.Generator().manual_seed(seed)
    updates = {
        i: LowRank(torch.randn(lm.d_model, 3, generator=g), torch.randn(lm.d_ffn, 3, generator=g)) for i in LAYERS
    }
    return LayerUpdates(updates, {i: torch.randn(lm.d_ffn, 3, generator=g) for i in LAYERS})


def lived(lm, ledger, seeds) -> list[LaneState]:
    state, seen = LaneState.base(lm, LAYERS), []
    seen.append(state.copy())
    for round_, seed in enumerate(seeds, 1):
        update = random_update(lm, seed)
        ledger.append(LANE, round_, update)
        state.apply(update)
        seen.append(state.copy())
    return seen


def same(a: LaneState, b: LaneState) -> bool:
    return all(
        torch.equal(a.weights[i], b.weights[i])
        and torch.equal(a.history[i], b.history[i])
        and a.digest(i) == b.digest(i)
        for i in LAYERS
    )


def test_every_round_is_rebuilt_bit_for_bit(tmp_path, lm):
    ledger = Ledger(tmp_path)
    seen = lived(lm, ledger, range(12))
    assert ledger.rounds(LANE) == list(range(1, 13))
    for round_, state in enumerate(seen):
        assert same(ledger.rebuild(lm, LANE, LAYERS, round_), state)
    assert same(ledger.rebuild(lm, LANE, LAYERS), seen[-1])


def test_a_real_round_replays(tmp_path, lm):
    session, recipe, ledger = session_of(lm), recipe_of(lm, history=True), Ledger(tmp_path)
    state = LaneState.base(lm, recipe.layers)
    for round_, facts in enumerate((FACTS[:2], FACTS[2:]), 1):
        update = edit_round(lm, state, facts, recipe, session)
        ledger.append("lane", round_, update)
        state.apply(update)
    rebuilt = ledger.rebuild(lm, "lane", recipe.layers)
    assert all(torch.equal(rebuilt.weights[i], state.weights[i]) for i in recipe.layers)
    third = [edit_round(lm, s, FACTS, recipe, session).updates[2] for s in (state, rebuilt)]
    assert torch.equal(third[0].left, third[1].left)
    assert torch.equal(third[0].right, third[1].right)


def test_what_a_guard_was_given_and_the_values_aimed_at_are_kept(tmp_path, lm):
    recipe = recipe_of(lm, {"name": "revive", "tau": 0.3}, layers=LAYERS)
    update = edit_round(lm, LaneState.base(lm, LAYERS), FACTS[:2], recipe, session_of(lm))
    ledger = Ledger(tmp_path)
    ledger.append(LANE, 1, update)
    read = ledger.read(LANE, 1)
    for layer in LAYERS:
        assert torch.equal(read.raw[layer].dense(), update.raw[layer].dense())
        assert not torch.equal(read.raw[layer].dense(), read.updates[layer].dense())
    assert torch.equal(read.target, update.target)
    assert torch.equal(read.start, update.start)


def test_undo_is_a_rebuild_without_some_rounds(tmp_path, lm):
    ledger = Ledger(tmp_path)
    lived(lm, ledger, [1, 2, 3])
    expected = LaneState.base(lm, LAYERS)
    for seed in (1, 3):
        expected.apply(random_update(lm, seed))
    assert same(ledger.rebuild(lm, LANE, LAYERS, without=[2]), expected)
    everything = ledger.rebuild(lm, LANE, LAYERS, without={1, 2, 3})
    assert all(torch.equal(everything.weights[i], lm.original(i)) for i in LAYERS)


def test_states_do_not_share_what_they_change(lm):
    state = LaneState.base(lm, LAYERS)
    branch = state.copy()
    before = lm.original(0).clone()
    state.apply(random_update(lm, 1))
    assert torch.equal(branch.weights[0], before)
    assert torch.equal(lm.original(0), before)
    assert state.digest(0) != branch.digest(0)


def test_lanes_with_like_labels_are_apart(tmp_path, lm):
    ledger = Ledger(tmp_path)
    ledger.append("a b", 1, random_update(lm, 1))
    ledger.append("a-b", 1, random_update(lm, 2))
    ledger.append("", 1, random_update(lm, 3))
    assert not torch.equal(ledger.read("a b", 1).keys[0], ledger.read("a-b", 1).keys[0])
    ledger.delete("a b")
    assert ledger.rounds("a b") == []
    assert ledger.rounds("a-b") == [1]


def test_rounds_can_be_forgotten_from_one_on(tmp_path, lm):
    ledger = Ledger(tmp_path)
    lived(lm, ledger, [1, 2, 3])
    ledger.delete(LANE, after=1)
    assert ledger.rounds(LANE) == [1]


def test_a_round_appears_whole_or_not_at_all(tmp_path, lm, monkeypatch):
    ledger = Ledger(tmp_path)
    ledger.append(LANE, 1, random_update(lm, 1))

    def fail(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="full"):
        ledger.append(LANE, 1, random_update(lm, 2))
    assert torch.equal(ledger.read(LANE, 1).keys[0], random_update(lm, 1).keys[0])
    assert ledger.rounds(LANE) == [1]


def test_files_that_are_not_the_round(tmp_path, lm):
    ledger = Ledger(tmp_path)
    with pytest.raises(UserError, match="Round 1"):
        ledger.read(LANE, 1)
    path = ledger.append(LANE, 1, random_update(lm, 1))
    path.rename(ledger.path(LANE, 2))
    with pytest.raises(UserError, match="should hold round 2"):
        ledger.read(LANE, 2)
    ledger.path(LANE, 2).write_bytes(b"nonsense")
    with pytest.raises(UserError, match="cannot be read"):
        ledger.rebuild(lm, LANE, LAYERS)


def cut(path, change):
    """Write a round's file anew with its tensors and what it says about itself changed by `change`."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = json.loads(file.metadata()["about"])
    said = change(tensors, about)
    save_file(tensors, path, metadata={"about": said if isinstance(said, str) else json.dumps(about)})


@pytest.mark.parametrize(
    "change, told",
    [
        (lambda tensors, about: tensors.pop("left.0"), "it lacks left.0"),
        (lambda tensors, about: tensors.pop("keys.2"), "it lacks the keys of layer 2"),
        (lambda tensors, about: tensors.update({"right.0": torch.zeros(3, 7)}), "do not belong together"),
        (
            lambda tensors, about: tensors.update({"left.0": tensors["left.0"].to(torch.int32)}),
            "do not belong together",
        ),
        (lambda tensors, about: tensors.update({"keys.0": torch.zeros(3)}), "it lacks the keys of layer 0"),
        (lambda tensors, about: about.update({"layers": "all"}), "does not say which layers"),
        (lambda tensors, about: "[1]", "what it says about itself is damaged"),
        (lambda tensors, about: "[" * 100_000, "cut off or damaged"),
    ],
)
def test_a_round_of_which_a_part_is_missing_is_told(tmp_path, lm, change, told):
    ledger = Ledger(tmp_path)
    path = ledger.append(LANE, 1, random_update(lm, 1))
    cut(path, change)
    with pytest.raises(UserError) as caught:
        ledger.read(LANE, 1)
    said = str(caught.value)
    assert f'Round 1 of lane "{LANE}" cannot be read from {path}' in said
    assert told in said
    assert "restore the file from a copy" in said


@pytest.mark.parametrize("length", [0, 4, 100, 1000])
def test_a_round_that_is_cut_off_is_told(tmp_path, lm, length):
    ledger = Ledger(tmp_path)
    path = ledger.append(LANE, 1, random_update(lm, 1))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UserError, match="it is cut off or damaged; restore the file from a copy"):
        ledger.read(LANE, 1)


def test_a_round_of_another_model_is_told(tmp_path, lm):
    ledger = Ledger(tmp_path)
    ledger.append(LANE, 1, LayerUpdates({0: LowRank(torch.zeros(3, 1), torch.zeros(5, 1))}, {0: torch.zeros(5, 1)}))
    with pytest.raises(UserError, match="changes layer 0 by a matrix of 3 x 5, which .* does not have there"):
        ledger.rebuild(lm, LANE, LAYERS)
    ledger.append(LANE, 1, LayerUpdates({77: LowRank(torch.zeros(3, 1), torch.zeros(5, 1))}, {77: torch.zeros(5, 1)}))
    with pytest.raises(UserError, match="changes layer 77"):
        ledger.rebuild(lm, LANE, LAYERS)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"lane": 3, "round": 1}', '{"lane": "MEMIT", "round": 1}', "[" * 9_999]
)
def test_a_damaged_branch_is_told(tmp_path, content):
    ledger = Ledger(tmp_path)
    ledger.branch("MEMIT", "other", 1)
    (ledger.lane_folder("MEMIT") / "branch.json").write_text(content)
    with pytest.raises(UserError, match='does not say where lane "MEMIT" begins'):
        ledger.rounds("MEMIT")


def test_files_that_are_no_rounds_are_passed_over(tmp_path, lm):
    ledger = Ledger(tmp_path)
    path = ledger.append(LANE, 1, random_update(lm, 1))
    path.with_name("copy of 000001.safetensors").write_bytes(b"")
    assert ledger.rounds(LANE) == [1]
    ledger.delete(LANE, 1)
    assert ledger.rounds(LANE) == [1]
