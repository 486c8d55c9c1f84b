"""Heartbeat and progress between the parts of a measurement."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from core.measures.inside.lower_layers import LowerLayers

Beat = Callable[[], None]
Progress = Callable[[str, int, int], None]  # phase (scores, tasks, inside, maps), done, total


@dataclass
class Steps:
    """Calls the heartbeat and reports progress. A heartbeat may set other weights for a while."""

    heartbeat: Beat | None
    progress: Progress | None
    lower: LowerLayers
    waited: float = 0.0  # seconds of pauses and of questions answered meanwhile

    def beat(self) -> None:
        if self.heartbeat:
            began = time.perf_counter()
            with self.lower.set_aside():
                self.heartbeat()
            self.waited += time.perf_counter() - began

    def report(self, phase: str, done: int, total: int) -> None:
        self.beat()
        if self.progress:
            self.progress(phase, done, total)
