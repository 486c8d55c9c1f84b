"""Finding methods and guards: a file in their folder is one, and only the one that is named gets imported."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from core.errors import UserError, nearest


def names(folder: Path) -> list[str]:
    """The names of the modules in a package's folder."""
    return sorted(p.stem for p in folder.glob("*.py") if not p.stem.startswith("_"))


def get(package: str, folder: Path, name: str, attribute: str) -> type:
    """The configuration class that module `name` exports as `attribute`; `UserError` names the nearest known one."""
    known = names(folder)
    if name not in known:
        raise UserError(f"There is no {attribute.lower()} {name!r}: {nearest(name, known)}")
    return getattr(import_module(f"{package}.{name}"), attribute)
