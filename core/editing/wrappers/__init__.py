"""Wrappers, one file each: what is made of any method's edit before it is added. A module exports its configuration
class as WRAPPER, with `title`, `paper`, `edit(round_) -> RoundUpdate`, `usual(model)` (its settings for a model) and
`idle()` (fields of the method that have no effect in it, and why)."""

from __future__ import annotations

from pathlib import Path

from core.editing.settings import registry

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The wrappers there are."""
    return registry.names(FOLDER)


def get(name: str) -> type:
    """A wrapper's configuration class; raises `UserError` for a name that is not one of `names()`."""
    return registry.get(__name__, FOLDER, name, "WRAPPER")
