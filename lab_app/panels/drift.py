"""Inside: how far activations move along each direction, against how far they ever moved by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.charts.equations import R_K
from lab_app.panels.panel import Panel, Payload, picked, point, short, thinned


def start(event: Mapping[str, Any]) -> Payload:
    """What states are read on, or `why` there is no R_k; and R_k without any edit of each layer, twice: a second pass
    (`null`) and unpaired inputs (`resampled`), for the runs that recorded them."""
    controls = []
    for found in event.get("controls") or []:
        keep = thinned(len(found["k"]))
        curves = {name: picked(found[name], keep) for name in ("null", "resampled")}
        controls.append({"layer": found["layer"], "k": [found["k"][i] + 1 for i in keep]} | curves)
    said = {"read": (event.get("reads") or {}).get("drift"), "why": (event.get("lacking") or {}).get("drift")}
    return {"controls": controls} | {name: text for name, text in said.items() if text}


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
        )
    return point(event) | {"layers": layers} if layers else None


PANEL = Panel(
    key="drift",
    title="Activation drift R<sub>k</sub>",
    protocol="same tokens before and after, centred per feature",
    promise="How far edits move the activations, against how far they move by themselves.",
    explanation="For each principal direction k of the unedited activations: how far an edit moves them along it, in "
    "units of how far they spread by themselves. Below 1 an edit hides inside natural variation; a direction above 1 "
    "carries something that the model never saw. Two grey lines say what no edit gives: a second pass of the unedited "
    "model (null edit: 0, drawn at the foot of the axis, which has no zero), and states of other inputs, about 2/√π.",
    equation=R_K,
    row=drift,
    start=start,
    snapshot=True,
)
