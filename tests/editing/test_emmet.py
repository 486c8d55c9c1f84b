"""EMMET's equality constraint, and what it has in common with MEMIT and ROME."""

import pytest
import torch

from core.editing.methods.emmet import Emmet
from core.editing.methods.memit import Memit
from tests.editing.algebra import D_IN, EARLIER, EXACT, KEYS, MOMENT, RESIDUAL, context, eye


@pytest.mark.parametrize("rho", [0.0, 0.1])
@pytest.mark.parametrize("history", [False, True])
def test_the_solve_is_the_direct_one(rho, history):
    metric = 3.0 * (MOMENT + 0.2 * MOMENT.trace() / D_IN * eye(D_IN)) + history * EARLIER @ EARLIER.T
    inverse = torch.linalg.inv(metric)
    expected = RESIDUAL @ torch.linalg.inv(KEYS.T @ inverse @ KEYS + rho * eye(KEYS.shape[1])) @ KEYS.T @ inverse
    method = Emmet(lambda_=3.0, rho=rho, ridge=0.2, history=history)
    torch.testing.assert_close(method.update(KEYS, RESIDUAL, context(EARLIER)).dense(), expected, **EXACT)


def test_without_rho_the_facts_are_met_and_lambda_cancels():
    found = [Emmet(lambda_=weight).update(KEYS, RESIDUAL, context()) for weight in (1e-3, 1.0, 15000.0)]
    for delta in found:
        torch.testing.assert_close(delta.dense() @ KEYS, RESIDUAL, **EXACT)
        torch.testing.assert_close(delta.dense(), found[0].dense(), **EXACT)


@pytest.mark.parametrize("history", [False, True])
def test_with_rho_it_is_memit_of_weight_rho_lambda(history):
    emmet = Emmet(lambda_=50.0, rho=0.1).update(KEYS, RESIDUAL, context())
    memit = Memit(lambda_=5.0).update(KEYS, RESIDUAL, context())
    torch.testing.assert_close(emmet.dense(), memit.dense(), **EXACT)


def test_facts_with_the_same_key_are_met_on_average():
    same, here = torch.cat([KEYS, KEYS[:, :1]], 1), context()
    wanted = torch.cat([RESIDUAL, -RESIDUAL[:, 1:2]], 1)
    delta = Emmet().update(same, wanted, here).dense()
    torch.testing.assert_close(delta @ KEYS[:, 0], (wanted[:, 0] + wanted[:, 4]) / 2, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(delta @ KEYS[:, 1], wanted[:, 1], rtol=1e-6, atol=1e-8)
    assert "same key" in here.notes[0]
