"""Guards, one file each: what is allowed to stay of an update. A module exports its configuration class as GUARD.

A guard has `title`, `paper`, `needs` ("original", "current", "weight" or None: what it looks at), `prepare(svd, layer)
-> basis` and `apply(delta, basis) -> LowRank`. Guards of a lane act in the order given. `when` says at which moment:

- `WITHIN`: on a layer's update before the next layer is solved, which then makes up for a part of what was taken;
- `AFTER`: on the updates of all layers, once they are solved;
- `ACCUMULATED`: on all that was changed since W0, once the round's updates are added up.

A guard that stands after one of a later moment acts at that moment as well. `inside` says whether what a guard leaves
of a change lies within the change's own rows and columns, so that what an earlier guard keeps untouched stays so.
"""

from __future__ import annotations

from pathlib import Path

from core.editing.settings import registry
from core.editing.settings.parameters import Parameter, parameters

FOLDER = Path(__file__).parent
WITHIN, AFTER, ACCUMULATED = "within", "after", "accumulated"
MOMENTS = (WITHIN, AFTER, ACCUMULATED)


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
