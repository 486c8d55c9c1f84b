from pathlib import Path

import pytest
import torch

from core.measures.studies.cost import latency
from core.measures.studies.cost.latency import peak_memory, seconds, side_by_side

PROMPTS = ["Ada Marlow was born in", "The capital of France is", "I like you and", "Bruno"]


def test_every_prompt_costs_the_same_number_of_steps(lm, monkeypatch):
    steps = []
    handle = lm.head.register_forward_hook(lambda *_: steps.append(1))
    try:
        taken = seconds(lm, PROMPTS[:2], 6)
    finally:
        handle.remove()
    assert len(steps) == 12
    assert all(each > 0 for each in taken)


def test_seconds_are_those_of_the_clock(lm, monkeypatch):
    """By a clock that stands still but while tokens are generated: three seconds for each text."""
    plain, now = latency.continuations, [0.0]

    def slowly(*args):
        now[0] += 3.0
        return plain(*args)

    monkeypatch.setattr(latency, "continuations", slowly)
    monkeypatch.setattr(latency.time, "perf_counter", lambda: now[0])
    assert seconds(lm, PROMPTS, 2) == [3.0] * len(PROMPTS)


def test_states_are_timed_in_turn_after_a_warm_up(lm, monkeypatch):
    worn = {1: 2 * lm.original(1)}
    order = []

    def timed(model, prompts, count):
        order.append((prompts[0], bool(torch.equal(model.down(1).weight, worn[1]))))
        return [float(len(order))]

    monkeypatch.setattr(latency, "seconds", timed)
    base, lane = side_by_side(lm, ({}, worn), PROMPTS, 3)
    warm = [f"{prompt} and" for prompt in PROMPTS[: latency.WARM_UP]]  # nothing timed was asked before
    turns = [*warm, *PROMPTS]
    assert order == [(prompt, edited) for prompt in turns for edited in (False, True)]
    assert base == [5.0, 7.0, 9.0, 11.0]
    assert lane == [6.0, 8.0, 10.0, 12.0]


def test_a_text_cut_short_is_not_timed(lm, monkeypatch):
    monkeypatch.setattr(latency, "continuations", lambda *_: [[5]])
    with pytest.raises(RuntimeError, match="1 tokens were generated where 3"):
        seconds(lm, PROMPTS[:1], 3)


STATUS = Path("/proc/self/status")


@pytest.mark.skipif(not STATUS.exists(), reason="only Linux tells a process its peak memory in a file to compare with")
def test_peak_memory_is_what_the_system_says():
    peaks = peak_memory(torch.device("cpu"))
    (line,) = [line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM")]
    assert set(peaks) == {"process"}
    assert peaks["process"] == pytest.approx(int(line.split()[1]) / 1024, rel=0.02)
