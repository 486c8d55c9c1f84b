"""The result of a study: named tables, their charts, and the protocol of the numbers. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from core.charts.grammar import Chart
from core.measures.measurement import rounded

DIGITS = 6
NOTHING_LEFT = "nothing of it could be measured; the notes say what was left out"


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """`tables` by name, each a list of rows with the same columns; `charts` of them; `protocol`: what was measured on
    what and when, in a sentence or two; `notes`: what was left out, and why; `empty`: why a table has no rows, by its
    name, said of those that have none."""

    tables: Mapping[str, list[dict[str, Any]]]
    charts: list[Chart] = field(default_factory=list)
    protocol: str = ""
    notes: list[str] = field(default_factory=list)
    empty: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: numbers rounded, NaN and infinities as None; a table without rows has its reason in `empty`."""
        why = {name: self.empty.get(name, NOTHING_LEFT) for name, rows in self.tables.items() if not rows}
        charts = [chart.as_dict() for chart in self.charts]
        return rounded(asdict(self) | {"charts": charts, "empty": why}, DIGITS)
