from itertools import count

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from core.measures.cost import cost_model
from core.measures.cost.cost_model import (
    SIZE,
    Speed,
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


def test_speeds_are_measured_once_on_this_machine():
    found = speed("cpu", torch.float64)
    assert found is speed("cpu", torch.float64)
    assert min(found.products, found.eigen, found.svd) > 0


def test_a_speed_is_work_by_the_clock(monkeypatch):
    """By a clock that goes on by half a second whenever it is read."""
    ticks = count()
    monkeypatch.setattr(cost_model.time, "perf_counter", lambda: next(ticks) / 2)
    found = speed.__wrapped__("cpu", torch.float64)
    assert found == Speed(products=2 * (2 * SIZE) ** 3 / 0.5, eigen=SIZE**3 / 0.5, svd=SIZE**3 / 0.5)


def test_the_faster_of_two_runs_counts_after_a_warm_up(monkeypatch):
    readings = iter([0.0, 9.0, 13.0, 20.0, 22.0])  # the warm-up is not timed to its end
    monkeypatch.setattr(cost_model.time, "perf_counter", lambda: next(readings))
    runs = []
    assert cost_model._time(lambda: runs.append(1), "cpu") == 2
    assert len(runs) == 3


def test_an_estimate_is_of_what_is_computed(lm32, monkeypatch):
    """The products are those that torch counts; seconds are work by speed."""
    with FlopCounterMode(display=False) as counted:
        spectrum(torch.randn(60, 150))
    work = decomposition(60, 150)
    assert work.products == counted.get_total_flops()
    monkeypatch.setattr(cost_model, "speed", lambda device, dtype: Speed(products=100.0, eigen=10.0, svd=1.0))
    assert work.seconds(lm32) == work.products / 100 + 60**3 / 10
    assert passes(lm32, 100).passes == 200 * lm32.n_parameters
    assert passes(lm32, 200).seconds(lm32) == pytest.approx(2 * passes(lm32, 100).seconds(lm32))


def test_durations_in_words():
    assert in_words(0.2) == "less than a second"
    assert in_words(1.2) == "about 1 second"
    assert in_words(200) == "about 3 minutes"
    assert in_words(7000) == "about 2 hours"
    assert announcement(3) == []
    assert announcement(200) == ["Expected to take about 3 minutes on this machine."]
