"""A lane's recipe: method x prior x guards, from what a spec says and what the model's defaults add."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from core.editing import guards, methods, priors, wrappers
from core.editing.defaults import Default, ModelInfo, defaults
from core.editing.method import Method
from core.editing.parameters import build, parameters, values
from core.errors import UserError

NOT_PARAMETERS = ("method", "guards", "prior", "wrapper", "name")


@dataclass(frozen=True)
class Recipe:
    """A lane: its label, its method's configuration, its guards in the order in which they act, its prior, and what
    wraps the method, if anything does. `cautions` are what is known of the method with these settings on the model."""

    label: str
    method_name: str
    method: Method
    guard_names: tuple[str, ...] = ()
    guards: tuple[Any, ...] = ()
    prior_name: str = "full"
    prior: Any = field(default_factory=lambda: priors.get("full")())
    wrapper_name: str | None = None
    wrapper: Any = None
    cautions: tuple[str, ...] = ()

    @property
    def editor(self) -> Any:
        """What edits a round: the wrapper, or the method by itself."""
        return self.wrapper or self.method

    @property
    def layers(self) -> tuple[int, ...]:
        """The edited layers, ascending."""
        if self.method.layers is None:
            raise UserError(f'Lane "{self.label}": no layers given, and no model to take defaults from.')
        return self.method.layers

    @property
    def update_guards(self) -> tuple[Any, ...]:
        """The guards that act on each update: those before the first that looks at the accumulated change."""
        return self.layer_guards + self.round_guards

    @property
    def layer_guards(self) -> tuple[Any, ...]:
        """Of them those that act before the next layer is solved."""
        return self.guards[: self._first(guards.AFTER)]

    @property
    def round_guards(self) -> tuple[Any, ...]:
        """Of them those that act once all layers are solved: the first of that kind, and all after it."""
        return self.guards[self._first(guards.AFTER) : self._first(guards.ACCUMULATED)]

    @property
    def total_guards(self) -> tuple[Any, ...]:
        """The guards that act on the accumulated change: the first that looks at it, and all after it."""
        return self.guards[self._first(guards.ACCUMULATED) :]

    def _first(self, moment: str) -> int:
        """The place of the first guard that acts at a moment or a later one."""
        late = guards.MOMENTS[guards.MOMENTS.index(moment) :]
        return next((place for place, acting in enumerate(self.guards) if acting.when in late), len(self.guards))

    @property
    def idle(self) -> dict[str, str]:
        """Fields without effect as the others stand, and why; those of a prior or wrapper behind its name."""
        found = {**self.method.idle(), **self.prior.idle(self.method), **(self.wrapper.idle() if self.wrapper else {})}
        own = values(self.method)
        return {name: why for name, why in found.items() if " " in name or name in own}

    @property
    def match(self) -> str | None:
        """The label of the lane that a guard is to match, if any."""
        return next((m for g in self.guards if (m := getattr(g, "match", None)) is not None), None)

    def with_factor(self, factor: float) -> Recipe:
        """The recipe with the guard that matches another lane replaced by its solved factor."""
        solved = [
            replace(g, factor=factor, match=None) if getattr(g, "match", None) is not None else g for g in self.guards
        ]
        return replace(self, guards=tuple(solved))

    def as_dict(self) -> dict[str, Any]:
        """The lane as a spec would write it, with every hyperparameter resolved."""
        acting = [{"name": n, **values(g)} for n, g in zip(self.guard_names, self.guards, strict=True)]
        return {
            "name": self.label,
            "method": self.method_name,
            "prior": {"name": self.prior_name, **settings} if (settings := values(self.prior)) else self.prior_name,
            "wrapper": {"name": self.wrapper_name, **values(self.wrapper)} if self.wrapper else None,
            "guards": acting,
            **values(self.method),
        }


def recipe_from_dict(lane: Mapping[str, Any], model: ModelInfo | None = None) -> Recipe:
    """The recipe of a spec's lane; what the lane leaves open comes from the model's defaults, then the method's.

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
    guard_names = tuple(entry["name"] for entry in lane.get("guards") or ())
    acting = tuple(
        build(guards.get(n), {k: v for k, v in entry.items() if k != "name"}, f"The guard {n}")
        for n, entry in zip(guard_names, lane.get("guards") or (), strict=True)
    )
    title = config.title + prior.suffix + (f" in {wrapper.title}" if wrapper else "")
    label = lane.get("name") or " + ".join([title, *(g.title for g in acting)])
    cautions = method.cautions(model) if model is not None else ()
    return Recipe(label, name, method, guard_names, acting, prior_name, prior, wrapper_name, wrapper, cautions)


def usual(lane: Mapping[str, Any], model: ModelInfo | None) -> dict[str, Default]:
    """What a lane's method has where the lane says nothing, and why: the model's settings, those that the paper of its
    prior has for the model, and those that go with the prior. The method's own defaults stand for all else."""
    known = {entry.name for entry in parameters(methods.get(lane["method"]))}
    prior = priors.get(named(lane.get("prior") or "full")["name"])
    found: dict[str, Default] = {}
    if model is not None:
        found = {**defaults(model, lane["method"]), **prior.suits(model, lane["method"])}
    found |= prior.implies
    return {key: one for key, one in found.items() if key in known and one.unless not in lane}


def prior_usual(lane: Mapping[str, Any], model: ModelInfo | None) -> dict[str, Default]:
    """What a lane's prior has for the model where the lane says nothing."""
    entry = named(lane.get("prior") or "full")
    if model is None or not isinstance(entry, Mapping) or entry.get("name") not in priors.names():
        return {}
    found = priors.get(entry["name"]).usual(model, lane["method"])
    return {key: one for key, one in found.items() if one.unless not in entry}


def wrapper_usual(lane: Mapping[str, Any], model: ModelInfo | None) -> dict[str, Default]:
    """What a lane's wrapper has for the model where the lane says nothing."""
    entry = named(lane.get("wrapper"))
    if model is None or not isinstance(entry, Mapping) or entry.get("name") not in wrappers.names():
        return {}
    return wrappers.get(entry["name"]).usual(model)


def part_from(given: Any, kind: str, package: Any, standing: Mapping[str, Default]) -> tuple[str, Any]:
    """A lane's prior or wrapper: its name, or `{"name": …}` with hyperparameters; `standing` are those of a model."""
    entry = named(given)
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
        known = f'"{package.names()[0]}", or {{"name": "{package.names()[0]}", …}} with its hyperparameters'
        raise UserError(f"A {kind} is a name, such as {known}; not {given!r}.")
    config = package.get(entry["name"])
    settings = {key: default.value for key, default in standing.items()}
    settings |= {key: value for key, value in entry.items() if key != "name"}
    return entry["name"], build(config, settings, f"The {kind} {entry['name']}")


def named(given: Any) -> Any:
    """A prior or wrapper as an object, where only its name was given."""
    return {"name": given} if isinstance(given, str) else given
