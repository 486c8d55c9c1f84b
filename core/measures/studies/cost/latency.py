"""Latency of generation, and peak memory."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Sequence

import torch

from core.measures.outside.greedy import Chooser
from core.models.generation import continuations
from core.models.language_model import LanguageModel

WARM_UP = 2


def seconds(lm: LanguageModel, prompts: Sequence[str], count: int) -> list[float]:
    """Wall-clock seconds for `count` greedy tokens after each prompt, one prompt at a time, with what the model wears
    now; retrieval and tokenising are part of it.

    A text that would end earlier continues, so that every prompt costs the same number of steps.
    """
    chooser = Chooser(lm, forced=True)
    return [_timed(lm, prompt, count, chooser) for prompt in prompts]


def _timed(lm: LanguageModel, prompt: str, count: int, chooser: Chooser) -> float:
    _wait(lm)
    began = time.perf_counter()
    (new,) = continuations(lm, [lm.encode(lm.asked(prompt))], count, chooser)
    _wait(lm)
    if len(new) != count:
        raise RuntimeError(f"{len(new)} tokens were generated where {count} were to be timed")
    return time.perf_counter() - began


def side_by_side(
    lm: LanguageModel, states: Sequence, prompts: Sequence[str], count: int, beat: Callable[[], None] | None = None
) -> list[list[float]]:
    """`seconds` of each state (a set of weights). The states take turns on each prompt, so that a slow moment of the
    computer affects all of them. Before, the first prompts are run untimed with one more word, so that of no timed
    prompt anything is there already."""
    times: list[list[float]] = [[] for _ in states]
    for number, prompt in enumerate([*(f"{prompt} and" for prompt in prompts[:WARM_UP]), *prompts]):
        for index, weights in enumerate(states):
            with lm.worn(weights):
                taken = seconds(lm, [prompt], count)
            if number >= len(prompts[:WARM_UP]):
                times[index] += taken
        if beat:
            beat()
    return times


def peak_memory(device: torch.device) -> dict[str, float]:
    """Peak memory so far, in MiB: of this process, and allocated on its GPU if the model is on one."""
    unit = 2**20 if sys.platform == "darwin" else 2**10  # ru_maxrss counts bytes there, KiB elsewhere
    peaks = {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit}
    if device.type == "cuda":
        peaks["gpu"] = torch.cuda.max_memory_allocated(device) / 2**20
    return peaks


def _wait(lm: LanguageModel) -> None:
    """Wait for the GPU's pending work."""
    if lm.device.type == "cuda":
        torch.cuda.synchronize(lm.device)
