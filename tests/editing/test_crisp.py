"""CRISP: the projection, what it protects, and the gradients that it rests on."""

import pytest
import torch
from torch.nn import functional as F

from core.editing.guards.crisp import Crisp
from core.editing.linalg.lowrank import LowRank
from core.editing.statistics.slopes import LENGTH, TEXTS, own_texts, slope_moment
from tests.editing.common import session_of


def moment(size: int, seed: int) -> torch.Tensor:
    rows = torch.randn(3 * size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    rows = rows * torch.linspace(0.1, 2, size, dtype=torch.float64)
    return rows.T @ rows / len(rows)


A, B = moment(12, 0), moment(7, 1)
DELTA = LowRank.full(torch.randn(7, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(2)))


def kept(gamma: float, delta: LowRank = DELTA) -> torch.Tensor:
    guard = Crisp(gamma=gamma)
    return guard.apply(delta, guard.prepare((A, B), 0)).dense()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.9])
def test_it_is_an_orthogonal_projection_that_lowers_the_quadratic_form(gamma):
    once, change = kept(gamma), DELTA.dense()
    torch.testing.assert_close(kept(gamma, LowRank.full(once)), once, rtol=1e-10, atol=1e-12)
    other = torch.randn(7, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    assert float((once * other).sum()) == pytest.approx(float((change * kept(gamma, LowRank.full(other))).sum()))

    def bends(delta: torch.Tensor) -> float:
        return float((delta * (B @ delta @ A)).sum())

    assert bends(once) < bends(change)
    taken = change - once
    assert bends(once) + bends(taken) == pytest.approx(bends(change))  # no cross terms: both are sums over pairs


def test_gamma_is_the_share_of_the_curvature_that_is_protected():
    basis = Crisp(gamma=0.6).prepare((A, B), 0)
    a, b = (torch.linalg.eigvalsh(m) for m in (A, B))
    products = torch.outer(b, a)
    share = float(products[~basis.free].sum() / products.sum())
    least = float(products[~basis.free].min() / products.sum())
    assert share >= 0.6 > share - least
    assert float(products[basis.free].max()) < float(products[~basis.free].min())
    assert int((~Crisp(gamma=0.0).prepare((A, B), 0).free).sum()) == 1
    assert not kept(1.0).any()


def test_gradients_are_those_of_plain_text_at_each_token(toy):
    lm = toy("llama", "float64")
    rows = own_texts(lm, 0)[:3]
    expected, count = torch.zeros(lm.d_model, lm.d_model, dtype=torch.float64), 0
    for row in rows:
        held = []

        def hook(_, __, output, held=held):
            held.append(torch.zeros_like(output, requires_grad=True))
            return output + held[0]

        handle = lm.down(2).register_forward_hook(hook)
        logits = lm.model(torch.tensor([row])).logits[0, :-1]
        handle.remove()
        loss = F.cross_entropy(logits, torch.tensor(row[1:]), reduction="sum")
        (slope,) = torch.autograd.grad(loss, held)
        expected += slope[0, :-1].T @ slope[0, :-1]
        count += len(row) - 1
    torch.testing.assert_close(slope_moment(lm, 2, rows), expected / count, rtol=1e-9, atol=1e-14)


def test_a_session_gathers_them_once_and_guards_by_them(lm):
    session, guard = session_of(lm), Crisp(gamma=0.5)
    weight = lm.original(1)
    basis = session.basis(guard, 1, weight)
    assert session.basis(guard, 1, weight) is basis
    assert session.slopes(1) is session.slopes(1)
    expected = guard.prepare((session.moment(1), session.slopes(1)), 1)
    assert torch.equal(basis.free, expected.free)
    texts = own_texts(lm, 0)
    assert len(texts) == TEXTS
    assert max(map(len, texts)) >= LENGTH
    assert own_texts(lm, 0) == texts
