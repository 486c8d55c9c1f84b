"""The lessons of the Learn page, one file each. A lesson is a module that exports a `Lesson` as LESSON: data, and one
pure function that summarises a run. `place` orders them."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path

from lab_app.lessons.lesson import Lesson


@cache
def lessons() -> tuple[Lesson, ...]:
    """All lessons, in the order in which they are taught."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))
    exported = (getattr(import_module(f"{__name__}.{name}"), "LESSON", None) for name in names)
    return tuple(sorted((one for one in exported if isinstance(one, Lesson)), key=lambda one: one.place))
