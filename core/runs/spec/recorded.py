"""A run goes on as it began: its lanes are those that were recorded, whatever defaults have become since.

The event that opened a run has every lane with all its hyperparameters resolved. A lane that is in it is edited and
asked about by these; only lanes that come later are resolved anew. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.editing import guards, methods, priors, wrappers
from core.editing.settings.parameters import recorded

ORIGIN = ("from", "without")  # of a lane, beside its recipe


def recorded_recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe as an event holds it, with fields that there were not yet as they were then."""
    found = recorded(methods.get(recipe["method"]), recipe)
    found["guards"] = [recorded(guards.get(entry["name"]), entry) for entry in recipe.get("guards") or ()]
    for key, package in (("prior", priors), ("wrapper", wrappers)):
        if isinstance(part := recipe.get(key), Mapping):
            found[key] = recorded(package.get(part["name"]), part)
    return found


def as_asked(lanes: Sequence[Mapping[str, Any]], recipes: Sequence[Any]) -> list[dict[str, Any]]:
    """The lanes of a spec as they were asked for; fields that there were not yet when their `recipes` were recorded say
    what was done then. A lane whose guards are others by now is left as it is."""
    begun = {recipe.get("name"): recipe.get("guards") for recipe in recipes if isinstance(recipe, Mapping)}
    found = []
    for lane in lanes:
        acting, there = lane.get("guards") or [], begun.get(lane["name"])
        if isinstance(there, list) and names(there) == names(acting):
            own = [{**since(then), **entry} for entry, then in zip(acting, there, strict=True)]
            found.append({**lane, "guards": own} if own else dict(lane))
        else:
            found.append(dict(lane))
    return found


def names(acting: Sequence[Any]) -> list[Any]:
    """The names of guards; what is no guard has none."""
    return [entry.get("name") if isinstance(entry, Mapping) else None for entry in acting]


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
