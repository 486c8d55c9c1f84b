"""Inside: the singular values of an edited matrix, and how many of them hold the share τ of the energy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.charts.formula import formula, frac, row, sub, total, under
from lab_app.panels.panel import Panel, Payload, picked, point, short, thinned

TAU = 0.1  # of a lane whose guard has none


def curve(spectrum: Mapping[str, Any], most: int = 40) -> Payload:
    """One layer's spectrum with few points; `i` counts from 1."""
    sigma, index = spectrum.get("sigma") or [], spectrum.get("index")
    index = list(range(len(sigma))) if index is None else index
    keep = thinned(len(sigma), most)
    drawn = {
        "layer": spectrum["layer"],
        "i": [int(index[i]) + 1 for i in keep],
        "sigma": picked(sigma, keep),
        "share": picked(spectrum.get("cumulative") or [], keep),
    }
    return drawn | ({"k": spectrum["k"]} if spectrum.get("k") else {})


def start(event: Mapping[str, Any]) -> Payload:
    """W0's own spectra, finer than those of the rounds; each lane's τ, what it is a share of, and k of W0 for every
    layer. Runs that recorded no k of each lane's own have it by energy."""
    taus = {lane["label"]: tau(lane.get("recipe") or {}) for lane in event.get("lanes") or []}
    known, own = event.get("tau_k") or {}, event.get("lane_k") or {}
    return {
        "w0": [curve(spectrum, 60) for spectrum in event.get("spectra") or []],
        "tau": taus,
        "by": {lane["label"]: by(lane.get("recipe") or {}) for lane in event.get("lanes") or []},
        "k0": {label: own.get(label) or known.get(str(asked)) or {} for label, asked in taus.items()},
    }


def tau(recipe: Mapping[str, Any]) -> float:
    """The τ at which a lane is measured: that of its first guard that has one, or the usual one."""
    return next((guard["tau"] for guard in recipe.get("guards") or () if guard.get("tau") is not None), TAU)


def by(recipe: Mapping[str, Any]) -> str:
    """What that τ is a share of: "energy", or "count", the number of singular values."""
    found = next((guard.get("by") for guard in recipe.get("guards") or () if guard.get("tau") is not None), None)
    return found or "energy"


def energy(event: Mapping[str, Any]) -> Payload | None:
    """The spectra of one lane's edited layers."""
    spectra = [curve(spectrum) for spectrum in event.get("spectra") or []]
    rank = {str(row["layer"]): short(row.get("dominant_rank")) for row in event.get("layers") or []}
    return point(event) | {"spectra": spectra, "rank": rank} if spectra else None


PANEL = Panel(
    key="energy",
    title="Singular-value energy",
    protocol="plain sums of σ, not of their squares",
    promise="How much of each matrix lies in its first directions, and what edits add to them.",
    explanation="A few directions carry much of a matrix: the first k hold a share τ of all its singular values, and "
    "those of W₀ are the ones that REVIVE protects (shaded). Edits that raise a lane's curve over the grey one of the "
    "unedited matrix add new strong directions that then compete with the old, and so move the k of the edited matrix "
    "itself (dotted).",
    equation=formula(
        "k",
        "=",
        under("min", "k′"),
        row(
            "{",
            "k′",
            ":",
            frac(total(row("i", "≤", "k′"), sub("σ", "i")), total("i", sub("σ", "i"))),
            "≥",
            "τ",
            "}",
        ),
    ),
    row=energy,
    start=start,
    snapshot=True,
)
