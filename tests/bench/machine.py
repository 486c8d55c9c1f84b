"""What a benchmark ran on, and what it took."""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch


def describe() -> str:
    """Processor, cores, memory and Python of this machine, in one line."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    processor = names[0] if names else platform.processor()
    return f"{processor}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"


def peak_memory() -> str:
    """The most memory that this process held at once, so far; and a GPU's, if one was used."""
    unit = 1 if sys.platform == "darwin" else 1024
    held = f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30:.2f} GiB"
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        held += f", GPU {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB"
    return held


@dataclass
class Spent:
    """Seconds on the clock, and of the processor (all threads): the fairer of the two where others work beside it."""

    wall: float = 0.0
    cpu: float = 0.0

    def per(self, other: Spent) -> float:
        """How many times as long as the other, by the processor's seconds; by the clock's on a GPU."""
        return self.wall / other.wall if torch.cuda.is_initialized() else self.cpu / other.cpu


@contextmanager
def spending() -> Iterator[Spent]:
    """What the block takes."""
    settle()
    spent, wall, cpu = Spent(), time.perf_counter(), time.process_time()
    yield spent
    settle()
    spent.wall, spent.cpu = time.perf_counter() - wall, time.process_time() - cpu


def settle() -> None:
    """Wait for the GPU, if one is in use."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
