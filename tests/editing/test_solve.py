"""Factors and their fallback, by name; failures that say what, where and what to do."""

import pytest
import torch

from core.editing.failure import EditFailure, remedy
from core.editing.lane.state import LaneState
from core.editing.linalg.metric import Dense
from core.editing.linalg.solve import by_factor, factor, one_plus
from core.editing.methods.alphaedit import AlphaEdit
from core.editing.methods.emmet import Emmet
from core.editing.methods.memit import Memit
from core.editing.methods.mose import Mose
from core.editing.methods.rome import Rome
from core.editing.priors.lowrank import LowRankPrior
from core.editing.rounds.edit_round import edit_round
from tests.editing.algebra import D_IN, EXACT, KEYS, MOMENT, RESIDUAL, SPREAD, context, eye, random
from tests.editing.common import FACTS, recipe_of, session_of


def test_a_factor_solves():
    lower = factor(MOMENT, 0)
    torch.testing.assert_close(lower @ lower.T, MOMENT, **EXACT)
    torch.testing.assert_close(by_factor(lower, KEYS), torch.linalg.inv(MOMENT) @ KEYS, **EXACT)
    assert by_factor(lower, KEYS[:, :0]).shape == (D_IN, 0)
    one = one_plus(MOMENT, 0)
    torch.testing.assert_close(one @ one.T, MOMENT + eye(D_IN), **EXACT)


def still(which: int) -> torch.Tensor:
    """A second moment with an input that never speaks."""
    spread = SPREAD.clone()
    spread[which] = 0
    return spread @ spread.T / spread.shape[1]


@pytest.mark.parametrize("which", [0, 5, D_IN - 1])
def test_inputs_that_never_speak_are_no_reason_to_stop(which):
    """The fallback solves as if those inputs were not there, and says which it was and when."""
    keys, rest = KEYS.clone(), [i for i in range(D_IN) if i != which]
    keys[which] = 0
    here = context(moment=still(which))
    found = Memit(lambda_=2.0).update(keys, RESIDUAL, here).dense()
    some = keys[rest]
    expected = RESIDUAL @ some.T @ torch.linalg.inv(2.0 * still(which)[rest][:, rest] + some @ some.T)
    torch.testing.assert_close(found[:, rest], expected, rtol=1e-7, atol=1e-9)
    assert float(found[:, which].abs().max()) == 0
    (note,) = here.notes
    assert note.startswith(f"Layer 3: Cholesky's factorisation broke at direction {which + 1} of {D_IN}")
    assert 'fallback "shift"' in note
    again = context(moment=still(which), history=here.history)
    object.__setattr__(again, "memo", here.memo)
    Memit(lambda_=2.0).update(keys, RESIDUAL, again)
    assert again.notes == [note]  # every round that rests on it says so


def test_a_moment_of_too_few_tokens_is_told():
    few = SPREAD[:, :3] @ SPREAD[:, :3].T
    with pytest.raises(EditFailure, match=rf"Layer 7: .*singular \(in about 1\d of {D_IN} directions\).*tokens.*ridge"):
        factor(few, 7)


@pytest.mark.parametrize("matrix", [MOMENT - 0.5 * eye(D_IN) * MOMENT.trace() / D_IN, -MOMENT, 0 * MOMENT])
def test_a_matrix_with_negative_directions_is_told(matrix):
    with pytest.raises(EditFailure, match=r"Layer 7: .*singular \(at direction \d+ of 14\)"):
        factor(matrix, 7)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_told(bad):
    with pytest.raises(EditFailure, match=r"Layer 7: .*not finite.*again"):
        factor(MOMENT + torch.full_like(MOMENT, bad).triu(D_IN - 1), 7)


def test_the_key_to_blame_is_known():
    keys = KEYS.clone()
    keys[:, 2] *= 1e200
    with pytest.raises(EditFailure, match="Layer 3") as failure:
        Dense(MOMENT, 3).solve_with_keys(keys)
    assert failure.value.fact == 2
    told = failure.value.naming([*FACTS[:2], FACTS[2], FACTS[0]], Memit())
    assert "Set a ridge, e.g. 0.01, use a larger lambda, or load the model in float32." in str(told)
    assert f'"{FACTS[2].text} {FACTS[2].target}"' in str(told)
    assert "Layer 3" in str(told)


@pytest.mark.parametrize(
    "method, said",
    [
        (Memit(), "Set a ridge, e.g. 0.01, use a larger lambda, or load the model in float32."),
        (AlphaEdit(), "Use a larger beta, or load the model in float32."),
        (Emmet(), "Set a ridge, e.g. 0.01, or load the model in float32."),  # λ cancels there
        (Emmet(history=True), "Set a ridge, e.g. 0.01, use a larger lambda, or load the model in float32."),
        (Rome(), "Set a ridge, e.g. 0.01, or load the model in float32."),
        (Rome(moment=False), "Load the model in float32."),
        (Mose(), "Use a larger ratio, or load the model in float32."),
    ],
)
def test_advice_names_fields_that_the_method_has_and_that_have_an_effect(method, said):
    assert remedy(method) == said


def test_alphaedit_with_nothing_to_change_says_what_would_open_it():
    """Under the low-rank prior the threshold has no effect: the prior's energy or rank has."""
    method = AlphaEdit()
    with pytest.raises(EditFailure, match='raise "threshold", or set "relative"'):
        AlphaEdit(threshold=1e-12).update(KEYS, RESIDUAL, context())
    with pytest.raises(EditFailure, match=r"lower the prior's energy \(γ₀, 1 now\)") as failure:
        method.update(KEYS, RESIDUAL, context(prior=LowRankPrior(energy=1.0)))
    assert "threshold" not in str(failure.value)
    with pytest.raises(EditFailure, match="give a smaller rank"):
        method.update(KEYS, RESIDUAL, context(prior=LowRankPrior(rank=D_IN)))


def test_a_lane_stops_with_fact_layer_and_what_to_do(lm, monkeypatch):
    recipe, state = recipe_of(lm), LaneState.base(lm, [0, 1, 2])
    weigh = Dense.solve

    def broken(self: Dense, right: torch.Tensor) -> torch.Tensor:
        found = weigh(self, right).clone()
        found[:, 1] *= float("inf")
        return found

    monkeypatch.setattr(Dense, "solve", broken)
    with pytest.raises(EditFailure) as failure:
        edit_round(lm, state, FACTS, recipe, session_of(lm))
    message = str(failure.value)
    assert f"{FACTS[1].text} {FACTS[1].target}" in message
    assert "ayer 0" in message
    assert "ridge" in message


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("weight", [1.0, 15000.0])
def test_cached_solves_equal_fresh_ones_to_nine_digits(scale, weight):
    """Against a plain LU solve of λ C0 + K Kᵀ, at condition numbers up to 10⁶."""
    d, b = 200, 20
    spread = random(d, 3 * d, seed=11) * torch.logspace(0, -2, d, dtype=torch.float64)[:, None]
    moment, keys = scale * spread @ spread.T / (3 * d), scale**0.5 * random(d, b, seed=12)
    assert 1e4 < float(torch.linalg.cond(moment)) < 1e6
    fresh = torch.linalg.solve(weight * moment + keys @ keys.T, keys)
    found = Dense(weight * moment, 0).solve_with_keys(keys)
    assert float((found - fresh).norm() / fresh.norm()) < 1e-9
