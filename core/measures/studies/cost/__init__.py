"""Cost of a lane: seconds per round, latency relative to the unedited model, peak memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from core import ceiling
from core.charts.grammar import Chart
from core.editing.settings.parameters import param
from core.editing.stopwatch import FREE, charged
from core.measures.study.result import StudyResult

if TYPE_CHECKING:
    from core.measures.study.case import Case

TIMED = {  # columns of rounds.csv
    "per_edit_seconds": "edit",
    "edit_seconds": "edits since the last measurement",
    "setup_seconds": "set-up",
    "measure_seconds": "measures",
}


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds to generate a number of tokens, by the lane and the unedited model in turn; memory; seconds of the
    rounds."""

    title: ClassVar[str] = "Time and memory"
    question: ClassVar[str] = "Is the edited model slower than the unedited one, and how long did the rounds take?"
    source: ClassVar[str] = "R_k paper, Fig. 5 (latency ratio over 50 greedy tokens)"

    tokens: int = param(50, ge=1, le=ceiling.SAMPLED, help="Greedy tokens per prompt.")
    prompts: int = param(10, ge=3, le=ceiling.SAMPLED, help="Number of prompts, from facts spread over the run.")

    def run(self, case: Case, rounds: Sequence[int]) -> StudyResult:
        """Tables `latency`, `memory`, `growth`, `rounds` (by measured round) and `phases` (of every round, seconds per
        edit)."""
        from core.measures.outside.scores import spread_sample
        from core.measures.studies.cost.latency import peak_memory, side_by_side
        from core.measures.study.loop import each_round

        lm, notes = case.lm, []
        count = max(1, min(self.tokens, lm.max_length // 2))
        if count < self.tokens:
            notes.append(f"{count} instead of {self.tokens} tokens: the model reads {lm.max_length} at most")
        texts = [case.facts[i].text for i in spread_sample(range(len(case.facts)), self.prompts, case.seed)]
        prompts = [text for text in texts if len(lm.encode(lm.asked(text))) + count <= lm.max_length]
        latency: list[dict[str, Any]] = []
        for at, beat in each_round(case, rounds):
            base, lane = side_by_side(lm, ({}, case.weights(at)), prompts, count, beat)
            latency += _rows(at, base, lane, count, case.seed)
        return StudyResult(
            tables={
                "latency": latency,
                "memory": [{"where": where, "peak_mib": mib} for where, mib in peak_memory(lm.device).items()],
                "growth": [row for at in rounds for row in _growth(case, at)],
                "rounds": _round_seconds(case),
                "phases": _phases(case),
            },
            charts=[
                Chart(
                    table="latency",
                    kind="line",
                    x="round",
                    y="ratio",
                    y_low="low",
                    y_high="high",
                    title="Latency against the unedited model",
                    x_title="after round",
                    y_title="seconds / seconds of the unedited model",
                    line=1.0,
                    line_label="as fast",
                ),
                Chart(
                    table="phases",
                    kind="line",
                    x="round",
                    y="per_edit_seconds",
                    by="phase",
                    title="Seconds per edit",
                    x_title="round",
                    y_title="seconds per edit",
                    unit="seconds",
                ),
            ],
            protocol=(
                f"{count} greedy tokens after each of {len(prompts)} prompts, one prompt at a time, the unedited model"
                " and the lane in turn, after a warm-up; medians, and the median of the prompts' ratios with a 95 %"
                " bootstrap interval. Edited matrices replace the original ones and have the same shape and type, so"
                " their ratio must be 1 up to timing noise; a lane that retrieves or routes pays for it here, and for"
                " the longer text that it reads. Growth: the bytes of what a lane remembers besides matrices (keys,"
                " values, sentences), which it needs to answer, and of its rounds in the ledger. Memory: the peak of"
                " this process (on a GPU: PyTorch's peak allocation), including loading. Seconds per edit: a round's"
                " duration divided by its facts, without waiting and without set-up (statistics, decompositions and"
                " factors that are computed once and shared), which is not charged to any lane; `edit_seconds` is the"
                " sum over the rounds since the last measurement."
            ),
            notes=notes,
            empty={
                "growth": "no round of those asked for has been edited",
                "latency": f"no prompt of this run leaves room for {count} tokens in the model's context",
                "memory": "this machine does not report the peak memory of a process",
                "rounds": "the run has measured no round, so it recorded no times",
            },
        )


def _rows(at: int, base: Sequence[float], lane: Sequence[float], count: int, seed: int) -> list[dict[str, Any]]:
    """One row: medians in seconds, tokens per second of the lane, and the ratio with its interval."""
    import numpy as np

    if not base:
        return []
    ratios = np.array(lane) / np.array(base)
    chosen = np.random.default_rng(seed).integers(len(ratios), size=(1000, len(ratios)))
    low, high = np.quantile(np.median(ratios[chosen], axis=1), [0.025, 0.975])
    return [
        {
            "round": at,
            "unedited_seconds": float(np.median(base)),
            "edited_seconds": float(np.median(lane)),
            "tokens_per_second": count / float(np.median(lane)),
            "ratio": float(np.median(ratios)),
            "low": float(low),
            "high": float(high),
            "prompts": len(ratios),
        }
    ]


def _growth(case: Case, at: int) -> list[dict[str, Any]]:
    """One row: bytes that the lane remembers besides matrices, and bytes of its rounds on disk, also per edit."""
    edits = len(case.edited(at))
    if at == 0 or not edits:
        return []
    numbers = [number for number in case.ledger.rounds(case.lane) if number <= at]
    kept = case.remembered(at)
    stored = sum(case.ledger.path(case.lane, number).stat().st_size for number in numbers)
    return [
        {
            "round": at,
            "edits": edits,
            "remembered_bytes": kept,
            "remembered_per_edit": kept / edits,
            "ledger_bytes": stored,
            "ledger_per_edit": stored / edits,
        }
    ]


def _round_seconds(case: Case) -> list[dict[str, Any]]:
    """The times that the run recorded at each measured round."""
    return [
        {"round": at, "what": phase, "seconds": scores[name]}
        for at, scores in sorted(case.scores.items())
        for name, phase in TIMED.items()
        if scores.get(name) is not None
    ]


def _phases(case: Case) -> list[dict[str, Any]]:
    """The time of each round's edits by phase, and the total charged to the lane."""
    rows = []
    for at, seconds in sorted(case.seconds.items()):
        edits = len(case.cohorts[at - 1])
        own = {name: spent for name, spent in seconds.items() if name not in (*FREE, "total") and spent}
        parts = {"all": charged(seconds), **own}
        rows += [{"round": at, "phase": name, "per_edit_seconds": s / edits} for name, s in parts.items() if edits]
    return rows


STUDY = Cost
