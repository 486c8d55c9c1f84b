"""Guards, one file each: what is allowed to stay of an update. A module exports its configuration class as GUARD.

A guard has `title`, `paper`, `needs` ("original", "current" or None: whose singular vectors it looks at),
`prepare(svd, layer) -> basis` and `apply(delta, basis) -> LowRank`. Guards of a lane act in the order given.
"""

from __future__ import annotations

from pathlib import Path

from core.editing import registry

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The guards there are."""
    return registry.names(FOLDER)


def get(name: str) -> type:
    """A guard's configuration class; raises `UserError` for a name that is not one of `names()`."""
    return registry.get(__name__, FOLDER, name, "GUARD")
