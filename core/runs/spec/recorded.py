"""A resumed run uses the recorded recipes of its lanes, even if defaults have changed since.

The `started` event of a run holds every lane with all hyperparameters resolved. Those lanes are edited and measured by
the recorded values. Only lanes that are added later are resolved with today's defaults. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.editing import guards, methods, priors, wrappers
from core.editing.settings.parameters import recorded

ORIGIN = ("from", "without")  # of a lane, beside its recipe


def recorded_recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe as an event holds it. Fields that did not exist when it was recorded get the value of that time."""
    resolved = recorded(methods.get(recipe["method"]), recipe)
    resolved["guards"] = [recorded(guards.get(entry["name"]), entry) for entry in recipe.get("guards") or ()]
    for key, package in (("prior", priors), ("wrapper", wrappers)):
        if isinstance(part := recipe.get(key), Mapping):
            resolved[key] = recorded(package.get(part["name"]), part)
    return resolved


def as_asked(lanes: Sequence[Mapping[str, Any]], recipes: Sequence[Any]) -> list[dict[str, Any]]:
    """The lanes of a spec as requested. Fields that did not exist when `recipes` were recorded get the value of that
    time. A lane whose guards have changed since is returned unchanged."""
    begun = {recipe.get("name"): recipe.get("guards") for recipe in recipes if isinstance(recipe, Mapping)}
    lanes_as_asked = []
    for lane in lanes:
        guards_now, guards_then = lane.get("guards") or [], begun.get(lane["name"])
        if isinstance(guards_then, list) and names(guards_then) == names(guards_now):
            own = [{**since(then), **entry} for entry, then in zip(guards_now, guards_then, strict=True)]
            lanes_as_asked.append({**lane, "guards": own} if own else dict(lane))
        else:
            lanes_as_asked.append(dict(lane))
    return lanes_as_asked


def names(acting: Sequence[Any]) -> list[Any]:
    """The names of guards; None for an entry that is not a guard."""
    return [entry.get("name") if isinstance(entry, Mapping) else None for entry in acting]


def since(guard: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a guard's record lacks, with the values of the time when it was recorded."""
    return {key: value for key, value in recorded(guards.get(guard["name"]), guard).items() if key not in guard}


def as_begun(lanes: Sequence[Mapping[str, Any]], started: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The lanes of a spec. Lanes that a run began with (`started`, as stored) have their recorded recipes."""
    begun = {entry["label"]: entry.get("recipe") for entry in (started or {}).get("lanes", ())}
    return [
        {**recorded_recipe(recipe), **{key: lane[key] for key in ORIGIN if lane.get(key)}}
        if (recipe := begun.get(lane["name"]))
        else dict(lane)
        for lane in lanes
    ]
