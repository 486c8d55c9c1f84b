"""Guards, one file each: what is allowed to stay of an update. A module exports its configuration class as GUARD.

A guard has `title`, `paper`, `needs` ("original", "current" or None: whose singular vectors it looks at),
`prepare(svd, layer) -> basis` and `apply(delta, basis) -> LowRank`. Guards of a lane act in the order given.
"""

from __future__ import annotations

from pathlib import Path

from core.editing import registry
from core.editing.parameters import Parameter, parameters

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The guards there are."""
    return registry.names(FOLDER)


def get(name: str) -> type:
    """A guard's configuration class; raises `UserError` for a name that is not one of `names()`."""
    return registry.get(__name__, FOLDER, name, "GUARD")


def dial(config: type) -> Parameter | None:
    """The number by which a guard is set: its first that may be a fraction (τ, RECT's share, shrinkage's factor)."""
    return next((entry for entry in parameters(config) if entry.kind == "float"), None)


def reach(entry: Parameter) -> tuple[float, float]:
    """From where to where a dial is worth turning."""
    return (0.01, 0.5) if entry.name == "tau" else (0.05 if entry.ge is None else float(entry.ge), 1.0)
