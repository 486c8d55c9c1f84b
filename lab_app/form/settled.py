"""The resolved lanes of the form: effective defaults of empty fields, and notes on the lanes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.editing import methods, priors, wrappers
from core.editing.lane.method import Recipe
from core.editing.recipe import named, prior_usual, usual, wrapper_usual
from core.editing.settings.defaults import Default, ModelInfo, by_name
from core.editing.settings.parameters import parameters
from core.errors import UserError
from core.runs.spec.lane_notes import lane_notes
from core.runs.spec.lanes import labelled, recipe_of_lane
from lab_app.form import experiment

MOST_LANES = 24
DATA_SETS = ("counterfact", "zsre")  # that settings were published for


def settled(form: Any, model: str, facts: str) -> dict[str, Any]:
    """`{"lanes": [{"options", "prior_options", "wrapper_options", "idle"}], "notes": [{"lane", "message"}]}`.

    For each lane of the form: the fields whose default differs from the method's own in the catalogue, as [text, help],
    and the fields without effect, with the reason. `facts` is the chosen dataset.
    """
    info = by_name(str(model or "").strip() or "pocket", facts if facts in DATA_SETS else "")
    form = form[:MOST_LANES] if isinstance(form, list) else []
    chosen = [experiment.lane(lane) if isinstance(lane, Mapping) else {} for lane in form]
    recipes = {place: recipe for place, lane in enumerate(chosen) if (recipe := resolved(lane, info)) is not None}
    lanes = dict(zip(recipes, labelled([chosen[place] for place in recipes]), strict=True))
    places = {lane["name"]: place for place, lane in lanes.items()}
    notes = lane_notes(list(lanes.values()), {label: recipes[place] for label, place in places.items()})
    return {
        "lanes": [
            standing(lane, info, recipes[place]) if place in recipes else {} for place, lane in enumerate(chosen)
        ],
        "notes": [{"lane": places[label], "message": message} for label, message in notes],
    }


def resolved(lane: Mapping[str, Any], info: ModelInfo | None) -> Recipe | None:
    """A lane's recipe; None if it is not valid yet."""
    try:
        return recipe_of_lane(lane, info)
    except UserError:
        return None


def standing(lane: Mapping[str, Any], info: ModelInfo | None, recipe: Recipe) -> dict[str, Any]:
    """One lane's fields that differ from the catalogue."""
    method = methods.get(lane["method"])
    own = experiment.known(info.reference, lane["method"]) if info is not None else {}
    found = {"options": differing(method, usual(lane, info), own)}
    for part, package, standing_of in (("prior", priors, prior_usual), ("wrapper", wrappers, wrapper_usual)):
        if entry := named(lane.get(part)):
            found[f"{part}_options"] = differing(package.get(entry["name"]), standing_of(lane, info), {})
    return found | {"idle": recipe.idle}


def differing(config: type, now: Mapping[str, Default], catalogue: Mapping[str, Default]) -> dict[str, tuple[str, str]]:
    """(default as text, help) of the fields with another default in the catalogue, or none."""
    helps = {entry.name: entry.help for entry in parameters(config)}
    return {
        name: (text(one.value), f"{helps[name]} {text(one.value)}: {one.reason}")
        for name, one in now.items()
        if name in helps and (name not in catalogue or catalogue[name].value != one.value)
    }


def text(value: Any) -> str:
    """A default as shown in the form."""
    return "measured" if value is None else experiment.text_of(value)
