"""Wrappers, one file each: they transform any method's edit before it is added. A module exports its configuration
class as WRAPPER, a frozen dataclass that is a `Wrapper` (`editing.lane.method`)."""

from __future__ import annotations

from pathlib import Path

from core.editing.lane.method import Wrapper
from core.editing.settings import registry

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The names of all wrappers."""
    return registry.names(FOLDER)


def get(name: str) -> type[Wrapper]:
    """A wrapper's configuration class; raises `UserError` for a name that is not one of `names()`."""
    return registry.get(__name__, FOLDER, name, "WRAPPER", Wrapper)  # type: ignore[type-abstract]  # only compared with
