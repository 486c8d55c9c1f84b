import pytest
import torch

from core.measures.config import MeasureConfig
from core.measures.cost import cost_model as estimate
from core.measures.cost import run_estimate as module
from core.measures.cost.cost_model import Speed, Work

CONFIG = MeasureConfig(probe_rows=100)


def test_the_work_of_two_layers_by_hand(lm32):
    """Width 32, FFN 96; of the 32 directions at most 4 hold 0.1 of the energy."""
    read, along = 2 * lm32.n_parameters * 100, 2 * 100 * 32 * 32
    gram, far = 2 * 32 * 32 * 96, 2 * 32 * 32 * 96
    once = module.setup_work(lm32, 2, CONFIG)
    assert once.products == 2 * (gram + far + 8 * 100 * 32 * 32 + 2 * along)
    assert (once.eigen, once.svd, once.passes) == (2 * 32**3, 2 * 32**3, 2 * read)
    each = module.round_work(lm32, 2, CONFIG)
    similarity, drift = 2 * 4 * 32 * (32 + 96), 2 * (2 * 4 * 32 * 96)
    assert each.products == 2 * (gram + 2 * 4 * 32 * 96 + similarity + drift + along)
    assert (each.eigen, each.svd, each.passes) == (2 * 32**3, 0, read)


def test_only_what_takes_long_is_told(lm32, monkeypatch):
    assert module.run_estimate(lm32, 2, CONFIG) == []
    seen = []

    def slow(device, dtype):
        seen.append((device, dtype))
        return Speed(products=1e12, eigen=1000.0, svd=2000.0)  # 32³ a layer: 33 s of eigenvectors, 16 s of an SVD

    monkeypatch.setattr(estimate, "speed", slow)
    (words,) = module.run_estimate(lm32, 2, CONFIG)
    assert words.startswith(
        "Singular values, similarity and R_k of 2 layers are expected to take about 2 minutes on this machine before"
        " the first round, then about 1 minute after each measured round of a lane."
    )
    assert set(seen) == {("cpu", torch.float64), ("cpu", torch.float32)}  # of the factorisations, of the model
    assert module.run_estimate(lm32, 2, MeasureConfig(inside=False)) == []
    assert module.run_estimate(lm32, 0, CONFIG) == []


def test_a_layer_of_llama_8b_takes_about_as_long_as_its_numbers_say():
    """d = 4096, 14336 inner: 4·4096²·14336 operations of products and 4096³ of eigenvectors, whatever their speeds."""
    work = estimate.decomposition(4096, 14336)
    assert work == Work(products=4.0 * 4096 * 4096 * 14336, eigen=4096.0**3)
    assert estimate.decomposition(14336, 4096, 400).products == pytest.approx(2.0 * 4096 * 4496 * 14336)
