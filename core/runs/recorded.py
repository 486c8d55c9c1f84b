"""A run goes on as it began: its lanes are those that were recorded, whatever defaults have become since.

The event that opened a run has every lane with all its hyperparameters resolved. A lane that is in it is edited and
asked about by these; only lanes that come later are resolved anew. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.editing import guards, methods, priors, wrappers
from core.editing.parameters import recorded

ORIGIN = ("from", "without")  # of a lane, beside its recipe


def recorded_recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe as an event holds it, with fields that there were not yet as they were then."""
    found = recorded(methods.get(recipe["method"]), recipe)
    found["guards"] = [recorded(guards.get(entry["name"]), entry) for entry in recipe.get("guards") or ()]
    for key, package in (("prior", priors), ("wrapper", wrappers)):
        if isinstance(part := recipe.get(key), Mapping):
            found[key] = recorded(package.get(part["name"]), part)
    return found


def as_asked(lanes: Sequence[Mapping[str, Any]], started: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The lanes of a spec as they were asked for, where fields that there were not yet say what was done then."""
    begun = {entry["label"]: entry.get("recipe") or {} for entry in started["lanes"]}
    found = []
    for lane in lanes:
        there = (begun.get(lane["name"]) or {}).get("guards") or [{}] * len(lane.get("guards") or ())
        acting = zip(lane.get("guards") or (), there, strict=True)
        own = [dict(entry) if not then else {**since(then), **entry} for entry, then in acting]
        found.append({**lane, "guards": own} if lane.get("guards") else dict(lane))
    return found


def since(guard: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a guard that its record lacks, as they were then."""
    return {key: value for key, value in recorded(guards.get(guard["name"]), guard).items() if key not in guard}


def as_begun(lanes: Sequence[Mapping[str, Any]], started: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The lanes of a spec; those that a run began with (`started`, as stored) by their recorded recipes."""
    begun = {entry["label"]: entry.get("recipe") for entry in (started or {}).get("lanes", ())}
    return [
        {**recorded_recipe(recipe), **{key: lane[key] for key in ORIGIN if lane.get(key)}}
        if (recipe := begun.get(lane["name"]))
        else dict(lane)
        for lane in lanes
    ]
