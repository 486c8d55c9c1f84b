"""Priors, one file each: how the statistics of a layer enter the cost of an update. A module exports its configuration
class as PRIOR, a frozen dataclass that is a `Prior` (`editing.layer_context`)."""

from __future__ import annotations

from pathlib import Path

from core.editing.layer_context import Prior
from core.editing.settings import registry

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The names of all priors."""
    return registry.names(FOLDER)


def get(name: str) -> type[Prior]:
    """A prior's configuration class; raises `UserError` for a name that is not one of `names()`."""
    return registry.get(__name__, FOLDER, name, "PRIOR", Prior)  # type: ignore[type-abstract]  # only compared with
