"""Priors, one file each: how a layer's statistics stand for what the model knew. A module exports its configuration
class as PRIOR.

A prior has `title`, `paper`, `suffix` (of a method's name: MEMIT-F), `implies` (settings of a method that the prior's
paper uses), `metric(context, weight, ridge, history) -> Metric` and `projection(context, threshold) -> Projection`.
"""

from __future__ import annotations

from pathlib import Path

from core.editing import registry

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The priors there are."""
    return registry.names(FOLDER)


def get(name: str) -> type:
    """A prior's configuration class; raises `UserError` for a name that is not one of `names()`."""
    return registry.get(__name__, FOLDER, name, "PRIOR")
