"""Inside: prompts as points, before and after the edits, in one plane."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.charts.formula import formula, power, row, sub
from lab_app.panels.panel import Panel, Payload, point, short

MOST = 240  # points that are sent for one lane and round
DIGITS = 3


def drawn(found: Mapping[str, Any]) -> Payload:
    """A map with at most `MOST` points: x, y after the edits, x0, y0 before, and which fact each point asks."""
    count = len(found.get("x") or [])
    step = max(1, -(-count // MOST))
    fields = {name: short((found.get(name) or [])[::step], DIGITS) for name in ("x", "y", "x0", "y0")}
    return fields | {"method": found.get("method", "pca"), "fact": (found.get("fact") or [])[::step], "points": count}


def rows(event: Mapping[str, Any]) -> Payload | None:
    """The map that was measured with a round, if any."""
    return point(event) | drawn(event["map"]) if event.get("map") else None


PANEL = Panel(
    key="map",
    title="Map of representations",
    protocol="hidden states at the subject’s last token",
    promise="Where prompts lie inside the model, before and after.",
    explanation="Every point is a prompt after the last layer that any lane may edit; the line shows where the edits "
    "carried it, hollow is before and solid after. PCA keeps distances honest and shares its axes between before and "
    "after; t-SNE and UMAP, on request, keep neighbours together but not distances.",
    equation=formula(
        sub("z", "i"), "=", row(power("P", "⊤"), "(", sub("h", "i"), "−", "<mover><mi>h</mi><mo>¯</mo></mover>", ")")
    ),
    row=rows,
    wide=True,
    snapshot=True,
)
