"""A lane's recipe: method x guards, from what a spec says and what the model's defaults add."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from core.editing import guards, methods
from core.editing.defaults import ModelInfo, defaults
from core.editing.locate import LocateThenEdit
from core.editing.parameters import build, parameters, values
from core.errors import UserError

NOT_PARAMETERS = ("method", "guards", "prior", "name")


@dataclass(frozen=True)
class Recipe:
    """A lane: its label, its method's configuration, and its guards in the order in which they act."""

    label: str
    method_name: str
    method: LocateThenEdit
    guard_names: tuple[str, ...] = ()
    guards: tuple[Any, ...] = ()

    @property
    def layers(self) -> tuple[int, ...]:
        """The edited layers, ascending."""
        if self.method.layers is None:
            raise UserError(f'Lane "{self.label}": no layers given, and no model to take defaults from.')
        return self.method.layers

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
            "prior": "full",
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
    if lane.get("prior", "full") != "full":
        raise UserError(f'The prior {lane["prior"]!r} is not available yet: use "full".')
    known = {p.name for p in parameters(config)}
    usual = defaults(model, name) if model is not None else {}
    given = {key: default.value for key, default in usual.items() if key in known}
    given |= {key: value for key, value in lane.items() if key not in NOT_PARAMETERS}
    method = build(config, given, f"The method {name}")
    if model is not None and method.layers and max(method.layers) >= model.n_layers:
        raise UserError(f"The model has layers 0 to {model.n_layers - 1}; this lane asks for {list(method.layers)}.")
    guard_names = tuple(entry["name"] for entry in lane.get("guards") or ())
    acting = tuple(
        build(guards.get(n), {k: v for k, v in entry.items() if k != "name"}, f"The guard {n}")
        for n, entry in zip(guard_names, lane.get("guards") or (), strict=True)
    )
    label = lane.get("name") or " + ".join([config.title, *(g.title for g in acting)])
    return Recipe(label, name, method, guard_names, acting)
