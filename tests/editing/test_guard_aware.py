"""Guard-aware rounds: what guards would take is never asked for."""

import pytest
import torch

from core.editing import priors
from core.editing.lane.session import EditSession
from core.editing.lane.state import LaneState
from core.editing.layer_context import LayerContext
from core.editing.linalg.subspace import Basis, Svd, svd
from core.editing.priors.lowrank import LowRankPrior
from core.editing.recipe import recipe_from_dict
from core.editing.rounds.edit_round import edit_round
from core.editing.rounds.guard_aware import PrefixedMemo, cleared, layer_update, protected, restricted
from core.editing.stopwatch import Stopwatch
from tests.editing.common import FACTS, recipe_of, session_of, values_of

GUARDS = {
    "revive": [{"name": "revive", "tau": 0.3}],
    "current": [{"name": "revive", "tau": 0.3, "basis": "current"}],
    "random": [{"name": "random", "tau": 0.3}],
    "both": [{"name": "revive", "tau": 0.2}, {"name": "random", "tau": 0.2}],
}
D_IN, D_OUT, B = 16, 9, 3


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


SPREAD = random(D_IN, 50, seed=1)
MOMENT = SPREAD @ SPREAD.T / 50
KEYS, RESIDUAL, EARLIER = random(D_IN, B, seed=2), random(D_OUT, B, seed=3), random(D_IN, 5, seed=4)
WEIGHT = random(D_OUT, D_IN, seed=5)


class Weights(EditSession):
    """As much of a session as bases are made from."""

    def __init__(self) -> None:
        self.memo, self.watch = {}, Stopwatch()

    def svd(self, layer: int) -> Svd:
        return svd(WEIGHT)


def context(**changes: object) -> LayerContext:
    given = {
        "layer": 1, "weight": WEIGHT, "original": WEIGHT, "history": EARLIER, "moment": MOMENT.clone, "memo": {},
        "prior": priors.get("full")(),
    }  # fmt: skip
    return LayerContext(**given | changes)


@pytest.mark.parametrize("which", GUARDS)
def test_values_lie_in_the_allowed_outputs(toy, which):
    lm = toy("llama")
    session, recipe = session_of(lm), recipe_of(lm, *GUARDS[which], guard_aware=True)
    state = LaneState.base(lm, recipe.layers)
    state.apply(edit_round(lm, state, FACTS, recipe, session))
    values = values_of(lm, state, FACTS, recipe, session)
    basis = protected(recipe, 2, state.weights[2], session)
    assert basis.outputs.shape[1] >= 2
    assert float((basis.outputs.T @ values.delta).abs().max()) < 1e-12 * float(values.delta.norm())
    assert float(values.size.max()) <= recipe.method.clamp * (1 + 1e-6)
    assert bool((values.loss < values.loss_start).all())
    free = values_of(lm, state, FACTS, recipe_of(lm, *GUARDS[which]), session)
    assert float((basis.outputs.T @ free.delta).norm()) > 1e-3 * float(free.delta.norm())


@pytest.mark.parametrize("prior", ["full", "lowrank"])
@pytest.mark.parametrize("history", [False, True])
@pytest.mark.parametrize("which", GUARDS)
def test_the_guard_takes_nothing(toy, which, history, prior):
    lm = toy("llama", "float64")
    session = session_of(lm)
    recipe = recipe_of(lm, *GUARDS[which], guard_aware=True, history=history, prior=prior, steps=4)
    state = LaneState.base(lm, recipe.layers)
    for _ in range(2):
        update = edit_round(lm, state, FACTS, recipe, session)
        for layer, raw in update.raw.items():
            basis = protected(recipe, layer, state.weights[layer], session)
            size = raw.norm()
            assert size > 0
            assert float((basis.outputs.T @ raw.left).norm()) < 1e-12 * float(raw.left.norm())
            assert float((basis.inputs.T @ raw.right).norm()) < 1e-11 * float(raw.right.norm())
            assert update.removed_share[layer] == pytest.approx(0, abs=1e-12)
        state.apply(update)


@pytest.mark.parametrize("prior", [None, LowRankPrior(alpha=0.1, energy=0.7)], ids=["full", "lowrank"])
@pytest.mark.parametrize("history", [False, True])
def test_memit_inside_is_the_least_squares_of_what_is_allowed(prior, history):
    """In coordinates of the allowed inputs Q and outputs P: Δ = P Pᵀ R K̂ᵀ (λ Ĉ + K̂p K̂pᵀ + K̂ K̂ᵀ)⁻¹ Qᵀ."""
    recipe = recipe_from_dict(
        {"method": "memit", "lambda": 2.0, "history": history, "guard_aware": True, "guards": GUARDS["revive"]}
    )
    here = context() if prior is None else context(prior=prior)
    found = layer_update(recipe, KEYS, RESIDUAL, here, Weights()).dense()
    u, sigma, vh = torch.linalg.svd(WEIGHT, full_matrices=True)
    k = int((sigma.cumsum(0) / sigma.sum() < 0.3).sum()) + 1
    outputs, inputs = u[:, k:], vh[k:].T
    if prior is None:
        cost = MOMENT
    else:
        factors = prior.factors(context())
        cost = factors.directions @ factors.directions.T + factors.diagonal.diag()
    inner = inputs.T @ KEYS
    matrix = inputs.T @ (2.0 * cost + (EARLIER @ EARLIER.T if history else 0)) @ inputs + inner @ inner.T
    expected = outputs @ outputs.T @ RESIDUAL @ inner.T @ torch.linalg.inv(matrix) @ inputs.T
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("prior", ["full", "lowrank"])
@pytest.mark.parametrize(
    "method",
    [{"method": "emmet"}, {"method": "alphaedit", "threshold": 1.0, "beta": 0.5}, {"method": "memit_svdtrunc"}],
)
def test_other_methods_stay_inside_as_well(method, prior):
    recipe = recipe_from_dict({**method, "prior": prior, "guard_aware": True, "guards": GUARDS["revive"]})
    found = layer_update(recipe, KEYS, RESIDUAL, context(prior=recipe.prior), Weights())
    basis = protected(recipe, 1, WEIGHT, Weights())
    assert found.norm() > 0
    assert float((basis.outputs.T @ found.left).norm()) < 1e-12 * float(found.left.norm())
    assert float((basis.inputs.T @ found.right).norm()) < 1e-11 * float(found.right.norm())
    if method["method"] == "emmet":  # what is allowed of the residual is met exactly
        allowed = RESIDUAL - basis.outputs @ (basis.outputs.T @ RESIDUAL)
        torch.testing.assert_close(found.dense() @ KEYS, allowed, rtol=1e-8, atol=1e-9)


def test_it_beats_cutting_the_update_afterwards():
    """Of all updates that the guard would leave alone it has the least cost; the cut one has more."""

    def cost(delta: torch.Tensor) -> float:
        return float(((delta @ KEYS - RESIDUAL) ** 2).sum() + (delta @ MOMENT @ delta.T).trace())

    lane = {"method": "memit", "lambda": 1.0, "guards": GUARDS["revive"]}
    aware, blunt = (recipe_from_dict({**lane, "guard_aware": on}) for on in (True, False))
    inside = layer_update(aware, KEYS, RESIDUAL, context(), Weights()).dense()
    raw = layer_update(blunt, KEYS, RESIDUAL, context(), Weights())
    basis = protected(aware, 1, WEIGHT, Weights())
    assert cost(inside) < cost(raw.without(basis.outputs, basis.inputs).dense()) - 1e-6


def test_the_restricted_context():
    recipe = recipe_from_dict({"method": "memit", "guard_aware": True, "guards": GUARDS["revive"]})
    basis = Basis(torch.linalg.qr(random(D_OUT, 3))[0], torch.linalg.qr(random(D_IN, 3))[0])
    inside = restricted(recipe, context(), basis)
    v = basis.inputs
    assert float((v.T @ inside.history).norm()) < 1e-12
    free = torch.linalg.qr(torch.cat([v, random(D_IN, D_IN, seed=8)], 1))[0][:, 3:D_IN]
    torch.testing.assert_close(free.T @ inside.moment() @ free, free.T @ MOMENT @ free)
    assert float((v.T @ inside.moment() @ free).norm()) < 1e-12
    assert inside.moment() is inside.moment()
    assert inside.whole.history is EARLIER


def test_only_projecting_guards_of_aware_lanes_have_a_say():
    def basis_of(guards: list, aware: bool):
        return protected(
            recipe_from_dict({"method": "memit", "guard_aware": aware, "guards": guards}), 1, WEIGHT, Weights()
        )

    assert basis_of(GUARDS["revive"], False) is None
    assert basis_of([], True) is None
    assert basis_of([{"name": "shrink", "factor": 0.5}], True) is None
    assert basis_of([*GUARDS["revive"], {"name": "shrink", "factor": 0.5}], True) is not None
    both = basis_of(GUARDS["both"], True)
    torch.testing.assert_close(
        both.inputs.T @ both.inputs, torch.eye(both.inputs.shape[1], dtype=torch.float64), rtol=0, atol=1e-12
    )


def test_clearing_and_a_part_of_a_memo():
    v = torch.linalg.qr(random(D_IN, 4))[0]
    assert float((v.T @ cleared(KEYS, v)).abs().max()) < 1e-15
    whole: dict = {"other": 1}
    part = PrefixedMemo(whole, (1, "inside"))
    part["a"] = 2
    assert ("a" in part, "b" in part, part["a"], dict(part), len(part)) == (True, False, 2, {"a": 2}, 1)
    assert whole == {"other": 1, ((1, "inside"), "a"): 2}
    del part["a"]
    assert whole == {"other": 1}
