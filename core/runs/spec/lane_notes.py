"""Notes on lanes before they run: known problems of a method on the model, a guard that undoes what another one
protects, and lanes that seem to differ in one setting but differ in more. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from core.editing.guards import Guard
from core.editing.lane.method import Recipe
from core.editing.settings.parameters import values

PARTS = ("method", "prior", "wrapper", "guards")
SPELLED_OUT = 6  # settings of one sentence


def lane_notes(lanes: Sequence[Mapping[str, Any]], recipes: Mapping[str, Recipe]) -> Iterator[tuple[str, str]]:
    """(label, note) for each note. `lanes` are the requested lanes, with names; `recipes` are the resolved recipes by
    label."""
    for place, lane in enumerate(lanes):
        if (recipe := recipes.get(lane["name"])) is not None:
            yield from ((lane["name"], message) for message in (*recipe.cautions, *undone_guards(recipe)))
            if message := confounded(lane, recipe, lanes[:place], recipes):
                yield lane["name"], message


def undone_guards(recipe: Recipe) -> Iterator[str]:
    """Notes on guards that protect directions and are followed by a guard that changes these directions again."""
    for place, acting in enumerate(recipe.guards):
        later = next((other for other in recipe.guards[place + 1 :] if touches(other, acting, recipe)), None)
        if acting.dominance is not None and later is not None:
            yield (
                f"{acting.title}’s guarantee does not hold in this lane: guards act in the order given, and"
                f" {later.title} acts after {acting.title}, which restores changes in the protected directions."
                f" Put {later.title} first. The drift inside the protected block, right and left, shows how much is"
                " restored."
            )


def touches(later: Guard[Any], earlier: Guard[Any], recipe: Recipe) -> bool:
    """Whether a guard may bring back what an earlier one removed. Projections on nested directions do not, nor do the
    guards of a guard-aware lane, whose updates avoid all protected directions from the start."""
    if later.inside:
        return False
    if later.dominance is None or earlier.dominance is None:
        return True
    return not (later.nested(earlier) or recipe.method.guard_aware)


def confounded(
    lane: Mapping[str, Any], recipe: Recipe, before: Sequence[Mapping[str, Any]], recipes: Mapping[str, Recipe]
) -> str:
    """A note on a lane that differs from an earlier lane in one part, if that part implies other values of settings
    that neither lane names. "" if an earlier lane differs in that part alone, or if no lane differs in one part."""
    differences: list[tuple[str, str, dict[str, tuple[Any, Any]]]] = []
    for other in before:
        if (known := recipes.get(other["name"])) is not None:
            parts = [part for part in PARTS if part_of(known, part) != part_of(recipe, part)]
            if len(parts) == 1:
                differences.append((other["name"], parts[0], implied(other, known, lane, recipe)))
    if not differences or not all(settings for _, _, settings in differences):
        return ""
    name, part, settings = min(differences, key=lambda difference: len(difference[2]))
    shown = [
        f"{key.replace('_', ' ')} {shown_value(own)} against {shown_value(its)}" for key, (its, own) in settings.items()
    ]
    more = f", and {len(shown) - SPELLED_OUT} more" if len(shown) > SPELLED_OUT else ""
    what = {"guards": "its guards"}.get(part, f"its {part}")
    return (
        f"Differs from {name} in more than {what}: {', '.join(shown[:SPELLED_OUT])}{more}. To compare the"
        f" {part if part == 'guards' else part + 's'} alone, give both lanes the same."
    )


def implied(
    first: Mapping[str, Any], first_recipe: Recipe, second: Mapping[str, Any], second_recipe: Recipe
) -> dict[str, tuple[Any, Any]]:
    """By name, both values of the settings that both methods have, that differ, and that neither lane names. Fields
    without effect are left out."""
    first_values, second_values = values(first_recipe.method), values(second_recipe.method)
    shared = [name for name in first_values if name in second_values and name not in first and name not in second]
    counted = [name for name in shared if name not in first_recipe.idle and name not in second_recipe.idle]
    return {
        name: (first_values[name], second_values[name]) for name in counted if first_values[name] != second_values[name]
    }


def part_of(recipe: Recipe, part: str) -> Any:
    """A part of a recipe, to be compared."""
    return {
        "method": recipe.method_name,
        "prior": recipe.prior_name,
        "wrapper": recipe.wrapper_name,
        "guards": recipe.guards,
    }[part]


def shown_value(value: Any) -> str:
    """A setting in a sentence."""
    if value is None:
        return "measured or none"
    if isinstance(value, bool):
        return str(value).lower()
    return (
        ", ".join(map(str, value))
        if isinstance(value, (list, tuple))
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )
