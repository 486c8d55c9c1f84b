"""A study for tests of whatever makes, keeps and shows studies."""

from __future__ import annotations  # options are told apart by the words of their types

import threading
import time
from dataclasses import dataclass
from typing import ClassVar

import torch

from core.charts.grammar import Chart
from core.editing.settings.parameters import param
from core.measures.study.result import StudyResult


@dataclass(frozen=True, kw_only=True)
class Norms:
    """How far a layer has moved; waits at each step until `gate` is open, wearing the lane's last state."""

    title: ClassVar[str] = "Norms"
    question: ClassVar[str] = "How far did the weights move?"
    source: ClassVar[str] = "The definition of a norm"
    gate: ClassVar[threading.Event] = threading.Event()

    layer: int = param(1, ge=0, help="Which layer.")
    steps: int = param(3, ge=1, help="Reports before the work.")
    slow: bool = param(False, help="Wait for the gate.")

    def run(self, case, rounds):
        with torch.inference_mode(), case.lm.worn(case.weights(case.last)):
            for step in range(self.steps):
                case.report(step, self.steps)
                while self.slow and not self.gate.is_set():
                    time.sleep(0.01)
                    case.report(step, self.steps)
            worn = case.lm.original(self.layer) if not case.last else case.matrix(case.last, self.layer)
        rows = [
            {"round": n, "norm": float((case.matrix(n, self.layer) - case.lm.original(self.layer)).norm())}
            for n in rounds
        ]
        chart = Chart(table="norms", kind="line", x="round", y="norm", title="Norms", x_title="round", y_title="norm")
        return StudyResult(
            tables={"norms": rows, "none": []}, charts=[chart], protocol="Frobenius.", notes=[f"{worn.shape[0]} rows"]
        )
