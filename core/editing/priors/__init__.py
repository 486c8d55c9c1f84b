"""Priors, one file each: how a layer's statistics stand for what the model knew. A module exports its configuration
class as PRIOR.

A prior has `title`, `paper`, `suffix` (of a method's name: MEMIT-F), `implies` (settings of a method that go with the
prior, whatever the model), `suits(model, method)` (settings of a method that its paper has for the model) and
`usual(model, method)` (its own), `idle(method)` (fields without effect, by name, and why), `metric(context, weight,
ridge, history) -> Metric`, `projection(context, threshold) -> Projection` and `opening(threshold)` (what to set where
that projection leaves nothing).
"""

from __future__ import annotations

from pathlib import Path

from core.editing.settings import registry

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The priors there are."""
    return registry.names(FOLDER)


def get(name: str) -> type:
    """A prior's configuration class; raises `UserError` for a name that is not one of `names()`."""
    return registry.get(__name__, FOLDER, name, "PRIOR")
