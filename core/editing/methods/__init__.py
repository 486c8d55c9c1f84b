"""Editing methods, one file each. A module exports its configuration class as METHOD; see `editing.lane.method`."""

from __future__ import annotations

from pathlib import Path

from core.editing.lane.method import Method
from core.editing.settings import registry

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The names of all methods."""
    return registry.names(FOLDER)


def get(name: str) -> type[Method]:
    """A method's configuration class; raises `UserError` for a name that is not one of `names()`."""
    return registry.get(__name__, FOLDER, name, "METHOD", Method)  # type: ignore[type-abstract]  # only compared with
