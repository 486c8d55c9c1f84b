"""A lane's recipe: method x prior x guards, from the spec and from the model's defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.editing import guards, methods, priors, wrappers
from core.editing.lane.method import WEIGHTS, Method, Recipe
from core.editing.settings.defaults import Default, ModelInfo
from core.editing.settings.parameters import build, parameters
from core.errors import UserError

NOT_PARAMETERS = ("method", "guards", "prior", "wrapper", "name")


def recipe_from_dict(lane: Mapping[str, Any], model: ModelInfo | None = None) -> Recipe:
    """The recipe of a spec's lane. Missing fields come from the model's defaults, then from the method's.

    Raises `UserError` for unknown methods, guards and hyperparameters, values out of range, and layers that the model
    does not have.
    """
    if "method" not in lane:
        raise UserError(f"A lane needs a method: {', '.join(methods.names())}.")
    name = lane["method"]
    config = methods.get(name)
    prior_name, prior = part_from(lane.get("prior") or "full", "prior", priors, prior_usual(lane, model))
    wrapped = lane.get("wrapper")
    wrapper_name, wrapper = (
        part_from(wrapped, "wrapper", wrappers, wrapper_usual(lane, model)) if wrapped is not None else (None, None)
    )
    given = {key: one.value for key, one in usual(lane, model).items()}
    given |= {key: value for key, value in lane.items() if key not in NOT_PARAMETERS}
    method = build(config, given, f"The method {name}")
    if model is not None and method.layers and max(method.layers) >= model.n_layers:
        raise UserError(f"The model has layers 0 to {model.n_layers - 1}; this lane asks for {list(method.layers)}.")
    if wrapper_name is not None and (why := refused(wrappers, wrapper_name, config)):
        raise UserError(f"{wrappers.get(wrapper_name).title} cannot be around {config.title}: {why}.")
    guard_names = tuple(entry["name"] for entry in lane.get("guards") or ())
    for part, named_parts in ((guards, guard_names), (priors, (prior_name,))):
        for unsuited in named_parts:
            if why := refused(part, unsuited, config):
                raise UserError(f"{part.get(unsuited).title} does not go with {config.title}: {why}.")
    acting = tuple(
        build(guards.get(n), {k: v for k, v in entry.items() if k != "name"}, f"The guard {n}")
        for n, entry in zip(guard_names, lane.get("guards") or (), strict=True)
    )
    title = config.title + prior.suffix + (f" in {wrapper.title}" if wrapper else "")
    label = lane.get("name") or " + ".join([title, *(g.title for g in acting)])
    cautions = method.cautions(model) if model is not None else ()
    return Recipe(label, name, method, guard_names, acting, prior_name, prior, wrapper_name, wrapper, cautions)


def refused(package: Any, name: str, method: type[Method]) -> str:
    """Why a guard, prior or wrapper makes no sense for a method; "" if it does."""
    if package is wrappers:
        return wrappers.get(name).refusal(method)
    if method.changes == WEIGHTS or (package is priors and name == "full"):
        return ""
    return f"it changes no weights, and a {'guard' if package is guards else 'prior'} acts on their updates"


def usual(lane: Mapping[str, Any], model: ModelInfo | None) -> dict[str, Default]:
    """Defaults of a lane's method, with reasons: the model's settings, those in the prior's paper for the model, and
    those that the prior implies. All other fields have the method's own defaults."""
    known = {entry.name for entry in parameters(methods.get(lane["method"]))}
    prior = priors.get(named(lane.get("prior") or "full")["name"])
    values: dict[str, Default] = {}
    if model is not None:
        values = {**defaults(model, lane["method"]), **prior.suits(model, lane["method"])}
    values |= prior.implies
    return {key: default for key, default in values.items() if key in known and default.unless not in lane}


def prior_usual(lane: Mapping[str, Any], model: ModelInfo | None) -> dict[str, Default]:
    """Defaults of a lane's prior for the model."""
    entry = named(lane.get("prior") or "full")
    if model is None or not isinstance(entry, Mapping) or entry.get("name") not in priors.names():
        return {}
    values = priors.get(entry["name"]).usual(model, lane["method"])
    return {key: default for key, default in values.items() if default.unless not in entry}


def wrapper_usual(lane: Mapping[str, Any], model: ModelInfo | None) -> dict[str, Default]:
    """Defaults of a lane's wrapper for the model."""
    entry = named(lane.get("wrapper"))
    if model is None or not isinstance(entry, Mapping) or entry.get("name") not in wrappers.names():
        return {}
    return wrappers.get(entry["name"]).usual(model)


def part_from(given: Any, kind: str, package: Any, standing: Mapping[str, Default]) -> tuple[str, Any]:
    """A lane's prior or wrapper: its name, or `{"name": …}` with hyperparameters; `standing` are the model's
    defaults."""
    entry = named(given)
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
        known = f'"{package.names()[0]}", or {{"name": "{package.names()[0]}", …}} with its hyperparameters'
        raise UserError(f"A {kind} is a name, such as {known}; not {given!r}.")
    config = package.get(entry["name"])
    settings = {key: default.value for key, default in standing.items()}
    settings |= {key: value for key, value in entry.items() if key != "name"}
    return entry["name"], build(config, settings, f"The {kind} {entry['name']}")


def named(given: Any) -> Any:
    """A prior or wrapper as an object, also if only its name was given."""
    return {"name": given} if isinstance(given, str) else given


def defaults(model: ModelInfo, method: str) -> dict[str, Default]:
    """Hyperparameters by spec name, for those that should differ from the method's own defaults on this model."""
    return methods.get(method).usual(model)
