"""Warnings about edits without effect: no change, values that were not found, guards that remove nothing or everything.

Each is a sentence for the user, with the likely cause. The numbers of such a lane may look normal and show only its
settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from core.editing.guards import dial
from core.editing.lane.method import Recipe
from core.editing.lane.results import RoundUpdate, Values
from core.editing.settings.parameters import values

NOTHING = 1e-6  # of a norm: float32 keeps seven digits, so that less than this is lost in the weights
LITTLE = 0.1  # of the values' change
ALL = 0.999  # of ‖ΔW‖², which the guards take
NONE = 1e-12  # of ‖ΔW‖², the same
NO_CHANGE, LITTLE_CHANGE, NO_VALUES, NOT_GUARDED = "no change", "little change", "no values", "not guarded"
WAYS = {  # out of it, by the hyperparameters that decide how much of the values is written
    "lambda": "lower",
    "ridge": "lower",
    "beta": "lower",
    "rho": "lower",
    "ratio": "lower",
    "threshold": "raise",
    "upper": "raise",
    "bound": "raise",
    "cap": "raise",
}


def silent(recipe: Recipe, update: RoundUpdate, weights: Mapping[int, Float[Tensor, "d_out d_in"]]) -> dict[str, str]:
    """Warnings about a round that changed the matrices `weights`: sentences by kind, none for an ordinary round.

    `NO_CHANGE`: ‖ΔW‖ ≤ `NOTHING` · ‖W‖ in every layer, or the guards removed `ALL`. `LITTLE_CHANGE`: less than `LITTLE`
    of the values' change is present after the round. `NO_VALUES`: the optimisation did not reduce the loss.
    `NOT_GUARDED`: guards that act on each update removed nothing.
    """
    if not update.updates:
        return {}
    warnings = {}
    size, raw = (_largest(deltas, weights) for deltas in (update.updates, update.raw or update.updates))
    removed_shares = list(update.removed_share.values())
    searched = float(update.values.steps.double().mean()) > 1
    if raw > NOTHING and (size <= NOTHING or min(removed_shares) >= ALL):
        left = "nothing" if size <= NOTHING else f"{1 - min(removed_shares):.1g} of ‖ΔW‖²"
        warnings[NO_CHANGE] = f"The edit changes next to nothing: {_guards(recipe)} leaves {left}. Let it take less."
    elif size <= NOTHING:
        warnings[NO_CHANGE] = (
            f"The edit changes nothing (‖ΔW‖ is {size:.1g} of ‖W‖): {_cause(recipe, update, searched)}."
        )
    elif _missing(update) > 1 - LITTLE:
        cause = (
            f"{_guards(recipe)} takes {min(removed_shares):.2%} of ‖ΔW‖²"
            if min(removed_shares) > 0.5
            else _weighs(recipe)
        )
        done = max(0.0, 1 - _missing(update))
        warnings[LITTLE_CHANGE] = f"Of what the new values ask for, {done:.0%} is there after the edit: {cause}."
    before, after = float(update.values.loss_start.mean()), float(update.values.loss.mean())
    if NO_CHANGE not in warnings and searched and after >= 0.99 * before:
        warnings[NO_VALUES] = (
            f"No better values were found: their loss is {after:.3g}, and was {before:.3g} before the first step. "
            f"{_step_size(recipe)} is too large or too small, or what bounds each step too narrow."
        )
    if recipe.update_guards and raw > NOTHING and max(removed_shares) <= NONE:
        warnings[NOT_GUARDED] = not_guarded(recipe)
    return warnings


def not_guarded(recipe: Recipe) -> str:
    """The warning about guards that removed nothing."""
    return f"{_guards(recipe)} takes nothing of the edits: the lane is as it would be without."


def _largest(deltas: Mapping[int, Any], weights: Mapping[int, Tensor]) -> float:
    """The largest ‖ΔW‖ / ‖W‖ of the layers."""
    return max(delta.norm() / max(float(weights[layer].norm()), NOTHING) for layer, delta in deltas.items())


def _missing(update: RoundUpdate) -> float:
    """The residual after the last layer, as a share of the initial one; NaN without values."""
    return list(update.residual_after.values())[-1] if isinstance(update.values, Values) else float("nan")


def _cause(recipe: Recipe, update: RoundUpdate, searched: bool) -> str:
    """Why an update is zero before any guard."""
    settings = values(recipe.method)
    if not searched:
        limit = f" ({settings['stop_loss']:g})" if settings.get("stop_loss") is not None else ""
        return f"the loss is below stop_loss{limit} before the first step, so that nothing is sought"
    if isinstance(update.values, Values) and float(update.values.size.max()) <= NOTHING:
        return f"the values hardly move, since lr ({settings['lr']:g}) or clamp ({settings['clamp']:g}) is too small"
    if not isinstance(update.values, Values):
        return f"training hardly moves a weight; raise {_step_size(recipe)}{_more(recipe, ('bound', 'cap'))}"
    return _weighs(recipe)


def _step_size(recipe: Recipe) -> str:
    """The hyperparameter that says how far a step goes, with its value."""
    settings = values(recipe.method)
    name = next(name for name in ("lr", "eta", "step") if settings.get(name) is not None)
    return f"{name} ({settings[name]:g})"


def _weighs(recipe: Recipe) -> str:
    """What prevents values from being written."""
    ways = [f"{way} {name} ({number:g})" for name, way, number in _set(recipe, WAYS)]
    advice = f"; {', or '.join(ways)}" if ways else ""
    return f"what is kept of the weights outweighs the new values{advice}"


def _more(recipe: Recipe, names: Sequence[str]) -> str:
    return "".join(f" or {name} ({number:g})" for name, _, number in _set(recipe, names))


def _set(recipe: Recipe, names: Any) -> Iterator[tuple[str, str, float]]:
    """(name, direction in which to change it, value) of those hyperparameters of the method and its wrapper that
    have an effect."""
    for part, whose in ((recipe.method, ""), (recipe.wrapper, f" of {recipe.wrapper and recipe.wrapper.title}")):
        settings = values(part) if part is not None else {}
        for name, number in settings.items():
            if name in names and isinstance(number, (int, float)) and number:
                yield name + whose, WAYS[name], float(number)


def _guards(recipe: Recipe) -> str:
    """The guards with their main number: "REVIVE (tau 0.9)"."""
    parts = []
    for acting in recipe.guards:
        knob = dial(type(acting))
        number = getattr(acting, knob.attribute) if knob is not None else None
        parts.append(acting.title + (f" ({knob.name} {number:g})" if knob is not None and number is not None else ""))
    return " and ".join(parts)
