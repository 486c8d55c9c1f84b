"""Inside: how far activations move along each direction, against how far they ever moved by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab_app.equations import R_K
from lab_app.panels.panel import Panel, Payload, picked, point, short, thinned


def drift(event: Mapping[str, Any]) -> Payload | None:
    """R_k of each edited layer with few points, and its summaries over all k."""
    summaries = {found["layer"]: found for found in event.get("layers") or []}
    layers = []
    for found in event.get("drift") or []:
        values = found.get("rk") or []
        keep = thinned(len(values))
        numbers = [k + 1 for k in found.get("k") or range(len(values))]
        summary = summaries.get(found["layer"], {})
        layers.append(
            {"layer": found["layer"], "k": picked(numbers, keep), "rk": picked(values, keep)}
            | {name: short(summary.get(name)) for name in ("rk_median", "rk_q90", "rk_over_1")}
            | {"null": short(found.get("null_edit"))}
        )
    return point(event) | {"layers": layers} if layers else None


PANEL = Panel(
    key="drift",
    title="Activation drift R<sub>k</sub>",
    protocol="same tokens before and after, centred per feature",
    promise="How far edits move the activations, against how far they move by themselves.",
    explanation="For each principal direction k of the unedited activations: how far an edit moves them along it, in "
    "units of how far they spread by themselves. Below 1 an edit hides inside natural variation; a direction above 1 "
    "carries something that the model never saw.",
    equation=R_K,
    row=drift,
    snapshot=True,
)
