"""MEMIT's closed forms, in float64."""

import pytest
import torch

from core.editing.failure import EditFailure
from core.editing.layer_context import LayerContext
from core.editing.methods.memit import Memit
from tests.editing.algebra import D_IN, D_OUT, EARLIER, EXACT, KEYS, MOMENT, RESIDUAL, SPREAD, B, context


def dense(lambda_: float, ridge: float = 0.0, history: torch.Tensor | None = None) -> torch.Tensor:
    """R Kᵀ (λ(C0 + ε tr(C0)/d I) + Kp Kpᵀ + K Kᵀ)⁻¹ by plain inversion."""
    prior = lambda_ * (MOMENT + ridge * MOMENT.trace() / D_IN * torch.eye(D_IN, dtype=torch.float64))
    past = 0 if history is None else history @ history.T
    return RESIDUAL @ KEYS.T @ torch.linalg.inv(prior + past + KEYS @ KEYS.T)


@pytest.mark.parametrize("ridge", [0.0, 0.5])
@pytest.mark.parametrize("lambda_", [0.01, 1.0, 15000.0])
def test_the_solve_is_the_direct_one(lambda_, ridge):
    found = Memit(lambda_=lambda_, ridge=ridge).update(KEYS, RESIDUAL, context())
    torch.testing.assert_close(found.dense(), dense(lambda_, ridge), **EXACT)
    assert found.columns == B


def test_it_minimises_what_it_says():
    lambda_ = 2.0
    delta = Memit(lambda_=lambda_).update(KEYS, RESIDUAL, context()).dense().requires_grad_()
    loss = ((delta @ KEYS - RESIDUAL) ** 2).sum() + lambda_ * (delta @ MOMENT @ delta.T).trace()
    (slope,) = torch.autograd.grad(loss, delta)
    assert float(slope.abs().max()) < 1e-9


def test_history_joins_the_inverse_only_when_asked():
    on = Memit(lambda_=1.0, history=True)
    torch.testing.assert_close(
        on.update(KEYS, RESIDUAL, context(EARLIER)).dense(), dense(1.0, history=EARLIER), **EXACT
    )
    torch.testing.assert_close(on.update(KEYS, RESIDUAL, context()).dense(), dense(1.0), **EXACT)
    off = Memit(lambda_=1.0).update(KEYS, RESIDUAL, context(EARLIER))
    torch.testing.assert_close(off.dense(), dense(1.0), **EXACT)


def test_history_equals_stacking_keys_that_ask_for_nothing():
    on = Memit(lambda_=1.0, history=True).update(KEYS, RESIDUAL, context(EARLIER))
    stacked = Memit(lambda_=1.0).update(
        torch.cat([EARLIER, KEYS], 1),
        torch.cat([torch.zeros(D_OUT, EARLIER.shape[1], dtype=torch.float64), RESIDUAL], 1),
        context(),
    )
    torch.testing.assert_close(on.dense(), stacked.dense(), **EXACT)


def test_the_factor_is_made_once_per_setting():
    here, asked = context(), []
    counted = LayerContext(**{**vars(here), "moment": lambda: asked.append(1) or MOMENT})
    for lambda_ in (1.0, 1.0, 2.0):
        Memit(lambda_=lambda_).update(KEYS, RESIDUAL, counted)
    assert len(asked) == 2


def test_each_layer_takes_its_share():
    assert [Memit().share(i, 4) for i in range(4)] == [1 / 4, 1 / 3, 1 / 2, 1]


def test_a_singular_moment_is_told_with_what_to_do():
    few = SPREAD[:, :3] @ SPREAD[:, :3].T
    with pytest.raises(EditFailure, match=r"Layer 3.*more tokens.*ridge"):
        Memit(lambda_=1.0).update(KEYS, RESIDUAL, context(moment=few))
    assert Memit(lambda_=1.0, ridge=0.01).update(KEYS, RESIDUAL, context(moment=few)).norm() > 0
    with pytest.raises(EditFailure, match="not finite"):
        Memit(lambda_=1.0).update(KEYS, RESIDUAL, context(moment=MOMENT * float("nan")))
