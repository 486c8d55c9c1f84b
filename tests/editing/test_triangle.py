"""Half of a symmetric matrix, against the whole."""

import pytest
import torch

from core.editing.lane.session import EditSession
from core.editing.linalg import triangle
from core.editing.linalg.triangle import Triangle, bytes_of
from core.editing.statistics.second_moment import SecondMoment


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [1, 6, 7, 20])
def test_there_and_back(monkeypatch, size):
    monkeypatch.setattr(triangle, "ROWS", 7)
    some = random(size, 50)
    square = some @ some.T
    square = (square + square.T) / 2
    upper = Triangle.of(square)
    assert torch.equal(upper.square(), square)
    assert [first for first, _ in upper] == list(range(0, size, 7))
    assert sum(8 * strip.numel() for strip in upper.strips) == bytes_of(size, torch.float64)
    for strip in upper.strips:
        strip[:, : len(strip)] += torch.ones(len(strip), len(strip)).tril(-1)  # below the diagonal: not looked at
    assert torch.equal(upper.square(), upper.square().T)
    assert [strip.shape for strip in Triangle.zeros(size, torch.float32).strips] == [s.shape for s in upper.strips]


def test_a_mean_is_kept_as_wide_as_its_layer_allows(monkeypatch):
    square = torch.eye(6, dtype=torch.float64) / 3
    exact = Triangle.of(square).mean(7)
    assert torch.equal(exact.square(), square / 7)
    monkeypatch.setattr(triangle, "WHOLE", 5)
    rounded = Triangle.of(square).mean(7)
    assert torch.equal(rounded.square(), (square / 7).float().double())


def test_a_digest_tells_the_last_bit(monkeypatch):
    monkeypatch.setattr(triangle, "ROWS", 3)
    square = torch.eye(7, dtype=torch.float64)
    other = square.clone()
    other[0, 6] = other[6, 0] = 1e-300
    assert Triangle.of(square).digest() == Triangle.of(square.clone()).digest()
    assert Triangle.of(square).digest() != Triangle.of(other).digest()


def test_half_of_the_room():
    assert bytes_of(14336, torch.float32) < 0.52 * 4 * 14336**2
    assert 29 * bytes_of(14336, torch.float32) < 12.4e9  # MOSE's candidates on Llama-3-8B: 47.7 GB as float64 squares


def test_few_second_moments_are_held_at_once(lm, monkeypatch):
    """Those used last; and one, however large it is."""
    read = []

    def upper(layer):
        read.append(layer)
        return Triangle.zeros(lm.d_ffn, torch.float64)

    moments = {layer: SecondMoment(lambda layer=layer: upper(layer), 9, layer, 0.1) for layer in range(3)}
    session = EditSession(lm, moments)
    for room, held in ((2 * 8 * lm.d_ffn**2, [1, 2]), (1, [2])):
        monkeypatch.setattr("core.editing.lane.session.HELD", room)
        session.held.clear()
        for layer in (0, 1, 2):
            session.moment(layer)
        assert list(session.held) == held
    read.clear()
    assert session.moment(2) is session.moment(2)
    assert read == []


def test_the_norm_is_that_of_the_decomposition(lm):
    session = EditSession(lm, {})
    assert session.spectral_norm(1) == pytest.approx(float(session.svd(1).sigma[0]), rel=1e-12)


def test_an_update_feels_little_of_the_rounding():
    """MEMIT's solve with C0 in float32: 1e-5 of the update, from seven tokens per input and variances far apart."""
    scale = torch.logspace(-3, 1, 120, dtype=torch.float64)[:, None]
    tokens, keys = scale * random(120, 840), scale * random(120, 5, seed=1)
    moment = tokens @ tokens.T / 840
    exact, rounded = (torch.cholesky_solve(keys, torch.linalg.cholesky(m + keys @ keys.T)) for m in
                      (moment, moment.float().double()))  # fmt: skip
    assert float((rounded - exact).norm() / exact.norm()) < 1e-5
