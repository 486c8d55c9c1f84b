"""MOSE against its definition, in float64; what a turned weight keeps; the choice of layers."""

import pytest
import torch

from core.editing import priors
from core.editing.deltas.ledger import Ledger
from core.editing.lane.method import Recipe, Round
from core.editing.lane.state import LaneState
from core.editing.layer_context import LayerContext
from core.editing.linalg.orthogonal import accumulated, fixed_outputs, procrustes, thin
from core.editing.methods.mose import Mose
from core.editing.recipe import recipe_from_dict
from core.editing.rounds.edit_round import edit_round
from core.editing.rounds.guard_aware import protected
from core.editing.rounds.layer_choice import nearest_layer
from core.editing.settings.defaults import ModelInfo
from core.editing.values.optimise import Problem, optimise_values
from core.errors import UserError
from tests.editing import common
from tests.editing.common import FACTS, keys, session_of

D_IN, D_OUT, B = 16, 9, 3
EXACT = {"rtol": 1e-9, "atol": 1e-10}


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


SPREAD = random(D_IN, 50, seed=1)
MOMENT = SPREAD @ SPREAD.T / 50
KEYS, RESIDUAL = random(D_IN, B, seed=2), random(D_OUT, B, seed=3)
ORIGINAL = random(D_OUT, D_IN, seed=5)
EYE = torch.eye(D_OUT, dtype=torch.float64)


def context(weight: torch.Tensor = ORIGINAL, **changes: object) -> LayerContext:
    given = {
        "layer": 1, "weight": weight, "original": ORIGINAL, "history": KEYS[:, :0], "moment": lambda: MOMENT,
        "memo": {}, "prior": priors.get("full")(),
    }  # fmt: skip
    return LayerContext(**given | changes)


def orthogonal(size: int, seed: int = 0) -> torch.Tensor:
    return torch.linalg.qr(random(size, size, seed=seed))[0]


def turn_of(delta, weight: torch.Tensor = ORIGINAL) -> torch.Tensor:
    """R of ΔW = R W − W."""
    return EYE + delta.dense() @ torch.linalg.pinv(weight)


def loss(turn: torch.Tensor, weight: torch.Tensor, lambda_: float, target: torch.Tensor) -> float:
    """λ ‖R W K0 − W K0‖² + ‖R W K − V‖² with K0 K0ᵀ = C0, term by term."""
    before = torch.linalg.cholesky(MOMENT)
    kept = ((turn @ weight @ before - weight @ before) ** 2).sum()
    return float(lambda_ * kept + ((turn @ weight @ KEYS - target) ** 2).sum())


@pytest.mark.parametrize("weight", [ORIGINAL, orthogonal(D_OUT, 3) @ ORIGINAL], ids=["first", "turned"])
@pytest.mark.parametrize("ratio", [0.01, 1.0, 100.0])
def test_the_turn_is_the_direct_procrustes(ratio, weight):
    found = Mose(ratio=ratio).update(KEYS, RESIDUAL, context(weight))
    outputs = weight @ KEYS
    lambda_ = ratio * (outputs**2).sum() / (weight @ MOMENT @ weight.T).trace()
    before = torch.linalg.cholesky(MOMENT)
    a = torch.cat([lambda_.sqrt() * weight @ before, outputs], 1)
    b = torch.cat([lambda_.sqrt() * weight @ before, outputs + RESIDUAL], 1)
    u, _, vh = torch.linalg.svd(b @ a.T)
    torch.testing.assert_close(found.dense(), u @ vh @ weight - weight, **EXACT)


def test_no_turn_nearby_is_better():
    turn = turn_of(Mose(ratio=2.0, absolute=True).update(KEYS, RESIDUAL, context()))
    target = ORIGINAL @ KEYS + RESIDUAL
    least = loss(turn, ORIGINAL, 2.0, target)
    for seed in range(20):
        skew = random(D_OUT, D_OUT, seed=seed) * 10.0 ** -(seed % 4)
        other = torch.linalg.matrix_exp(skew - skew.T) @ turn
        assert loss(other, ORIGINAL, 2.0, target) > least


def test_what_a_turn_keeps():
    weight = ORIGINAL
    for seed in range(300):
        keys, residual = random(D_IN, B, seed=seed), random(D_OUT, B, seed=1000 + seed)
        weight = weight + Mose().update(keys, residual, context(weight)).dense()
    torch.testing.assert_close(torch.linalg.svdvals(weight), torch.linalg.svdvals(ORIGINAL), rtol=1e-12, atol=0)
    turned = accumulated(weight, ORIGINAL)
    assert float((turned.T @ turned - EYE).norm()) < 1e-10
    torch.testing.assert_close(turned @ ORIGINAL, weight, rtol=1e-12, atol=1e-12)
    assert float((turned - EYE).norm()) > 0.5


def test_the_accumulated_factor_is_the_product_of_the_turns():
    turns = [orthogonal(D_OUT, seed) for seed in range(4)]
    product = turns[3] @ turns[2] @ turns[1] @ turns[0]
    torch.testing.assert_close(accumulated(product @ ORIGINAL, ORIGINAL), product, **EXACT)


def test_what_no_turn_can_reach_is_told():
    """One fact that nothing holds back: its output becomes as near to the value as a turn can bring it."""
    keys, residual, here = KEYS[:, :1], 20 * RESIDUAL[:, :1], context()
    delta = Mose(ratio=1e-9).update(keys, residual, here).dense()
    missed = float((residual - delta @ keys).norm() / residual.norm())
    assert 0.1 < missed < 1
    assert f"at least {missed:.0%} of the residual is out of reach" in here.notes[0]
    near, along = context(), ORIGINAL @ keys / (ORIGINAL @ keys).norm()
    Mose().update(keys, 1e-3 * (residual - along @ (along.T @ residual)), near)
    assert not near.notes


def test_matched_norms_ask_for_the_direction_only():
    delta = Mose(ratio=1e-3, match_norms=True).update(KEYS, RESIDUAL, context()).dense()
    outputs = ORIGINAL @ KEYS
    target = outputs + RESIDUAL
    target = target * outputs.norm(dim=0) / target.norm(dim=0)
    lambda_ = 1e-3 * float((outputs**2).sum() / (ORIGINAL @ MOMENT @ ORIGINAL.T).trace())
    u, _, vh = torch.linalg.svd(lambda_ * ORIGINAL @ MOMENT @ ORIGINAL.T + target @ outputs.T)
    torch.testing.assert_close(delta, u @ vh @ ORIGINAL - ORIGINAL, **EXACT)


def test_the_original_outputs_may_be_preserved_instead():
    weight = orthogonal(D_OUT, 3) @ ORIGINAL
    found = Mose(absolute=True, ratio=2.0, preserve="original").update(KEYS, RESIDUAL, context(weight)).dense()
    outputs = weight @ KEYS
    u, _, vh = torch.linalg.svd(2.0 * ORIGINAL @ MOMENT @ weight.T + (outputs + RESIDUAL) @ outputs.T)
    torch.testing.assert_close(found, u @ vh @ weight - weight, **EXACT)


def test_what_is_not_determined_is_not_turned():
    notes: list[str] = []
    flat = torch.zeros(D_IN, D_IN, dtype=torch.float64)
    flat[0, 0] = 1.0
    delta = Mose().update(KEYS, RESIDUAL, context(moment=lambda: flat, notes=notes))
    turn = turn_of(delta)
    assert "do not determine" in notes[-1]
    seen = torch.linalg.qr(torch.cat([ORIGINAL @ KEYS, RESIDUAL, ORIGINAL[:, :1]], 1))[0]
    away = EYE - seen @ seen.T
    torch.testing.assert_close(turn @ away, away, rtol=0, atol=1e-6)


def test_a_weight_that_guards_have_cut_is_turned_as_it_is():
    notes: list[str] = []
    cut = ORIGINAL + 0.1 * random(D_OUT, D_IN, seed=9)
    delta = Mose(absolute=True).update(KEYS, RESIDUAL, context(cut, notes=notes)).dense()
    outputs = cut @ KEYS
    u, _, vh = torch.linalg.svd(cut @ MOMENT @ cut.T + (outputs + RESIDUAL) @ outputs.T)
    torch.testing.assert_close(delta, u @ vh @ cut - cut, **EXACT)
    assert "guard_aware" in notes[0]


def test_a_turn_that_leaves_directions_alone():
    fixed, matrix = orthogonal(D_OUT, 4)[:, :3], random(D_OUT, D_OUT, seed=6)
    turn, determined = procrustes(matrix, fixed)
    assert determined
    torch.testing.assert_close(turn @ fixed, fixed, rtol=0, atol=1e-12)
    torch.testing.assert_close(turn.T @ turn, EYE, rtol=0, atol=1e-12)
    free = torch.linalg.qr(torch.cat([fixed, random(D_OUT, D_OUT, seed=7)], 1))[0][:, 3:D_OUT]
    u, _, vh = torch.linalg.svd(free.T @ matrix @ free)
    torch.testing.assert_close(free.T @ turn @ free, u @ vh, **EXACT)
    outputs, inputs = orthogonal(D_OUT, 5)[:, :2], orthogonal(D_IN, 5)[:, :3]
    assert fixed_outputs(ORIGINAL, outputs, inputs).shape == (D_OUT, 5)
    u, _, vh = torch.linalg.svd(ORIGINAL)
    assert fixed_outputs(ORIGINAL, u[:, :2], vh[:2].T).shape == (D_OUT, 2)
    assert fixed_outputs(ORIGINAL, None, None) is None


def test_thin_keeps_what_can_be_told():
    delta = 1e-2 * random(D_OUT, 2) @ random(2, D_IN, seed=1)
    few = thin(delta, ORIGINAL.float())
    assert few.columns == 2
    torch.testing.assert_close(few.dense(), delta, **EXACT)
    small = delta + 1e-9 * random(D_OUT, D_IN, seed=2)  # less than float32 rounds a weight by
    assert thin(small, ORIGINAL.float()).columns == 2
    assert float((thin(small, ORIGINAL.float()).dense() - small).norm()) < 2e-8 * float(ORIGINAL.norm())
    assert float((thin(random(D_OUT, D_IN), ORIGINAL).dense() - random(D_OUT, D_IN)).norm()) < 1e-12
    assert thin(torch.zeros(D_OUT, D_IN, dtype=torch.float64), ORIGINAL).dense().norm() == 0


MOSE = {"method": "mose", "layers": [0, 1, 2], "select": "neighbors"}


@pytest.fixture(autouse=True)
def _only_its_own_fields(monkeypatch):
    """The shared settings of the editing tests hold MEMIT's fields as well."""
    kept = {name: value for name, value in common.SETTINGS.items() if name not in ("lambda", "ridge")}
    monkeypatch.setattr(common, "SETTINGS", kept)


def mose_of(lm, *guards: dict, **settings: object) -> Recipe:
    return common.recipe_of(lm, *guards, **{**MOSE, **settings})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rounds_keep_the_singular_values_and_replay(toy, tmp_path, dtype):
    lm = toy("llama", dtype)
    session, recipe, ledger = session_of(lm), mose_of(lm, steps=6), Ledger(tmp_path)
    state = LaneState.base(lm, recipe.layers)
    for round_, facts in enumerate((FACTS[:1], FACTS[1:], FACTS), 1):
        update = edit_round(lm, state, facts, recipe, session)
        ledger.append("lane", round_, update)
        state.apply(update)
    loose = {"rtol": 1e-5 if dtype == "float32" else 1e-11, "atol": 0}
    rebuilt = ledger.rebuild(lm, "lane", recipe.layers)
    moved = 0
    for layer in recipe.layers:
        before, after = lm.original(layer).double(), state.weights[layer].double()
        torch.testing.assert_close(torch.linalg.svdvals(after), torch.linalg.svdvals(before), **loose)
        assert torch.equal(rebuilt.weights[layer], state.weights[layer])
        turned = accumulated(rebuilt.weights[layer].double(), before)
        assert float((turned.T @ turned - torch.eye(len(turned), dtype=torch.float64)).norm()) < 1e-10
        torch.testing.assert_close(turned @ before, after, rtol=0, atol=1e-5 if dtype == "float32" else 1e-11)
        moved += int(not torch.equal(after, before))
    assert moved >= 2
    again = [edit_round(lm, s, FACTS, recipe, session_of(lm)).updates for s in (state, rebuilt)]
    assert all(torch.equal(again[0][layer].right, again[1][layer].right) for layer in again[0])


@pytest.mark.parametrize("guard", ["revive", "random"])
def test_inside_what_a_guard_leaves_it_stays_a_turn(toy, guard):
    lm = toy("llama", "float64")
    session, recipe = session_of(lm), mose_of(lm, {"name": guard, "tau": 0.2}, guard_aware=True)
    state = LaneState.base(lm, recipe.layers)
    for facts in (FACTS[:2], FACTS[2:]):
        update = edit_round(lm, state, facts, recipe, session)
        assert all(share == pytest.approx(0, abs=1e-12) for share in update.removed_share.values())
        state.apply(update)
    for layer in update.updates:
        basis = protected(recipe, layer, state.weights[layer], session)
        change = state.weights[layer] - lm.original(layer)
        assert float(change.norm()) > 0
        assert float((basis.outputs.T @ change).norm()) < 1e-11 * float(change.norm())
        assert float((change @ basis.inputs).norm()) < 1e-11 * float(change.norm())
        torch.testing.assert_close(
            torch.linalg.svdvals(state.weights[layer]), torch.linalg.svdvals(lm.original(layer)), rtol=1e-11, atol=0
        )


def test_the_layer_is_where_values_are_nearest(toy):
    """A slow transcription: for every layer and fact by itself."""
    lm = toy("llama", "float64")
    session, recipe = session_of(lm), mose_of(lm)
    state = LaneState.base(lm, recipe.layers)
    scores = {}
    for layer in recipe.layers:
        scores[layer] = 0.0
        for fact in FACTS:
            few = mose_of(lm, steps=4).method
            delta = optimise_values(Problem(lm, [fact], layer, session.contexts(recipe.method)), few).delta
            key = keys(lm, [fact], layer, ())
            size = torch.linalg.matrix_norm(lm.original(layer), 2) * key.norm()
            scores[layer] += float(delta.norm() / size)
    round_ = Round(lm, state, FACTS, recipe, session)
    assert nearest_layer(round_, 4) == min(scores, key=scores.get)


def test_modes_of_the_choice(toy, monkeypatch):
    lm = toy("llama")
    session = session_of(lm)
    monkeypatch.setattr("core.editing.rounds.layer_choice.nearest_layer", lambda round_, steps: 2)

    def edited(**settings: object) -> list[int]:
        recipe = mose_of(lm, **settings)
        return list(edit_round(lm, LaneState.base(lm, recipe.layers), FACTS[:1], recipe, session).updates)

    assert edited() == [1, 2]
    assert edited(reach=0) == [2]
    assert edited(select="selected") == [2]
    assert edited(select="fixed", fixed_layer=1) == [1]
    with pytest.raises(UserError, match="fixed_layer"):
        edited(select="fixed", fixed_layer=3)


def test_no_layer_is_sought_where_all_are_within_reach(toy, monkeypatch):
    lm = toy("llama")
    monkeypatch.setattr(
        "core.editing.rounds.layer_choice.nearest_layer", lambda round_, steps: pytest.fail("it was sought")
    )
    for settings in ({"reach": 2}, {"layers": [1]}, {"layers": [1], "select": "selected"}):
        recipe = mose_of(lm, **settings)
        edited = edit_round(lm, LaneState.base(lm, recipe.layers), FACTS[:1], recipe, session_of(lm)).updates
        assert tuple(edited) == recipe.layers


def test_usual_settings():
    llama = recipe_from_dict({"method": "mose"}, ModelInfo("meta-llama/Meta-Llama-3-8B", "llama", 32))
    assert (llama.layers, llama.method.fixed_layer, llama.method.clamp) == (tuple(range(1, 30)), 5, 0.75)
    pocket = recipe_from_dict({"method": "mose"}, ModelInfo("pocket", "llama", 8))
    assert (pocket.layers, pocket.method.reach) == ((0, 1, 2, 3, 4), 1)


@pytest.mark.parametrize(
    "model",
    [
        ModelInfo("pocket", "llama", 8),
        ModelInfo("gpt2-xl", "gpt2", 48, 1600, 50257),
        ModelInfo("meta-llama/Meta-Llama-3-8B", "llama", 32, 4096, 128256),
        *(ModelInfo("own", "llama", layers) for layers in (2, 3, 4, 8, 12, 30)),
    ],
    ids=lambda model: f"{model.reference.rpartition('/')[2]}-{model.n_layers}",
)
def test_the_fixed_layer_is_the_one_that_rome_edits(model):
    """As the ablation has it (MOSE, Fig. 4)."""
    mose, rome = (recipe_from_dict({"method": name}, model) for name in ("mose", "rome"))
    assert (mose.method.fixed_layer,) == rome.layers
    assert mose.method.fixed_layer in mose.layers


def test_what_is_known_of_it_on_the_embedded_model():
    (said,) = recipe_from_dict({"method": "mose"}, ModelInfo("pocket", "llama", 8)).cautions
    assert "efficacy falls with the size of a round" in said
    assert not recipe_from_dict({"method": "mose"}, ModelInfo("own", "llama", 32)).cautions
