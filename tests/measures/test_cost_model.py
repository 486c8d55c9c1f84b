import time

import pytest
import torch

from core.measures.cost.cost_model import (
    Work,
    announcement,
    decomposition,
    factorisation,
    in_words,
    passes,
    product,
    speed,
)
from core.measures.inside.spectrum import spectrum


def test_work_adds_up():
    work = product(2, 3, 4) + Work(eigen=8.0).times(3)
    assert work == Work(products=48, eigen=24)
    assert decomposition(10, 30) == decomposition(30, 10) == Work(products=12_000, eigen=1000)
    assert factorisation(100, 10) == Work(products=80_000, svd=1000)


def test_speeds_are_measured_on_this_machine():
    found = speed("cpu", torch.float64)
    assert found is speed("cpu", torch.float64)  # once
    square = torch.randn(512, 512, dtype=torch.float64)
    started = time.perf_counter()
    for _ in range(4):
        square @ square
    seconds = time.perf_counter() - started
    assert 0.05 < (4 * 2 * 512**3 / found.products) / seconds < 20  # the same order, on a busy machine too


def test_an_estimate_is_of_the_right_order(lm32):
    weight = torch.randn(600, 1500)
    started = time.perf_counter()
    spectrum(weight)
    seconds = time.perf_counter() - started
    assert 0.05 < decomposition(600, 1500).seconds(lm32) / seconds < 20
    assert passes(lm32, 100).passes == 200 * lm32.n_parameters
    assert passes(lm32, 200).seconds(lm32) == pytest.approx(2 * passes(lm32, 100).seconds(lm32))


def test_durations_in_words():
    assert in_words(0.2) == "less than a second"
    assert in_words(1.2) == "about 1 second"
    assert in_words(200) == "about 3 minutes"
    assert in_words(7000) == "about 2 hours"
    assert announcement(3) == []
    assert announcement(200) == ["Expected to take about 3 minutes on this machine."]
