"""The list of studies with their options, for forms and for the command line. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from core.editing.settings.parameters import build, parameters, values
from core.measures import studies


def catalogue() -> list[dict[str, Any]]:
    """Every study: `{"name", "title", "question", "source", "options"}`. Options have the fields of
    `editing.settings.parameters.Parameter` (`name, kind, optional, default, help, ge, gt, le, lt, choices`, …)."""
    entries = []
    for name in studies.names():
        study = studies.get(name)
        options = [asdict(parameter) for parameter in parameters(study)]
        about = {key: getattr(study, key) for key in ("title", "question", "source")}
        entries.append({"name": name, **about, "options": options})
    return entries


def built(name: str, options: Mapping[str, Any]) -> Any:
    """A study with its options. Raises `UserError` for an unknown name or option, or a value out of range."""
    return build(studies.get(name), options, f"The study {name}")


def resolved(study: Any) -> dict[str, Any]:
    """All options of a study, including defaults."""
    return values(study)
