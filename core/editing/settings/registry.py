"""Finds methods, guards and studies: each is a file or a folder, and only the requested one is imported."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TypeVar

from core.errors import UserError, nearest

Part = TypeVar("Part")


def names(folder: Path) -> list[str]:
    """The names of the modules and packages in a package's folder, except those that begin with `_`."""
    modules = [path.stem for path in folder.glob("*.py")]
    packages = [path.parent.name for path in folder.glob("*/__init__.py")]
    return sorted(name for name in modules + packages if not name.startswith("_"))


def get(package: str, folder: Path, name: str, attribute: str, base: type[Part]) -> type[Part]:
    """The configuration class that module `name` exports as `attribute`; `UserError` names the nearest known one.
    Raises `TypeError` for a class that is not a `base`."""
    known = names(folder)
    if name not in known:
        raise UserError(f"There is no {attribute.lower()} {name!r}: {nearest(name, known)}")
    member = getattr(import_module(f"{package}.{name}"), attribute)
    if not issubclass(member, base):
        raise TypeError(f"{package}.{name}: {attribute} should be a {base.__name__}")
    return member
