"""What a spec or a study's options name, and whether a visitor may name it. Needs no torch.

Fields declare what they name (`core.names`), so the same rule covers fields that are added later; a test checks that
each field has a declaration. Names are refused before any file is looked up, so messages do not reveal what is on this
computer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from core.editing import guards, methods, priors, wrappers
from core.editing.recipe import named
from core.names import OWN_DATA, Names, is_path
from core.runs.spec.problems import SpecError, SpecProblem, path, shown
from core.runs.spec.run_spec import RunSpec

PARTS = (("prior", priors), ("wrapper", wrappers))
Place = tuple[int | str, ...]


@dataclass(frozen=True)
class Named:
    """One name: the field that holds it (`where`), the kind of thing that it names, and the name (`value`)."""

    where: str
    kind: Names
    value: str


def in_spec(spec: RunSpec) -> list[Named]:
    """All names in a spec."""
    return [*_model(spec, ()), *in_lanes(spec)]


def in_lanes(spec: RunSpec, first: int = 0) -> list[Named]:
    """All names in a spec's lanes, from the lane with index `first`."""
    return [name for i, lane in enumerate(spec.lanes) if i >= first for name in _lane(lane, ("lanes", i))]


def in_options(study: Any) -> list[Named]:
    """All names in a study's options."""
    return list(_config(type(study), {entry.name: getattr(study, entry.name) for entry in fields(study)}, ()))


@dataclass(frozen=True)
class Offer:
    """What a visitor may name: the pocket model and `models`, the lab's own data and `data`, tasks of the harness; with
    `everything`, anything, as the owner of the lab may."""

    models: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    everything: bool = False

    @property
    def known_models(self) -> tuple[str, ...]:
        """The models that may be named."""
        return tuple(dict.fromkeys(("pocket", *self.models)))

    def admit(self, names: Iterable[Named]) -> None:
        """Raises `SpecError` with each name that is not offered, at its field."""
        problems = [SpecProblem(name.where, why) for name in names if (why := self._why_not(name))]
        if problems:
            raise SpecError(problems)

    def _why_not(self, name: Named) -> str:
        if self.everything or name.kind is Names.TEXT:
            return ""
        if name.kind is Names.MODEL:
            return _refused(name.value, self.known_models, "models", "--models")
        if name.kind is Names.DATA:
            return _refused(name.value, (*OWN_DATA, *self.data), "data sets", "--datasets")
        if is_path(name.value):
            return "what visitors send names no files of this computer; name tasks as lm-evaluation-harness does"
        return ""


EVERYTHING = Offer(everything=True)


def _refused(value: str, offered: tuple[str, ...], what: str, option: str) -> str:
    if value in offered:
        return ""
    return (
        f"{shown(value)} is not offered here; the {what} are {', '.join(offered)}. What visitors send names no files "
        f"of this computer. Is the lab yours? Open the address that its terminal printed, or start it with {option}"
    )


def _model(model: BaseModel, at: Place) -> Iterator[Named]:
    for name, info in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _model(value, (*at, name))
        elif (kind := kind_of(info)) is not None:
            yield from _values(value, kind, (*at, name))


def kind_of(info: FieldInfo) -> Names | None:
    """The kind of thing that a field of a spec declares to name; None without a declaration."""
    return next((entry for entry in info.metadata if isinstance(entry, Names)), None)


def _lane(lane: Mapping[str, Any], at: Place) -> Iterator[Named]:
    yield from _config(methods.get(lane["method"]), lane, at)
    for number, guard in enumerate(lane.get("guards") or ()):
        yield from _config(guards.get(guard["name"]), guard, (*at, "guards", number))
    for key, package in PARTS:
        if lane.get(key):
            entry = named(lane[key])
            yield from _config(package.get(entry["name"]), entry, (*at, key))


def _config(config: type, fields_by_name: Mapping[str, Any], at: Place) -> Iterator[Named]:
    """The names in the text fields of a configuration; names of tasks are separated by commas."""
    for entry in fields(config):
        kind, name = entry.metadata.get("names"), entry.metadata.get("name") or entry.name
        value = fields_by_name.get(name)
        if kind is not None and value is not None:
            texts = [part.strip() for part in str(value).split(",")] if kind is Names.TASKS else [value]
            for text in filter(None, texts):
                yield Named(path((*at, name)), kind, str(text))


def _values(value: Any, kind: Names, at: Place) -> Iterator[Named]:
    """The names in a field: one text, or a list of texts."""
    if kind is Names.TEXT:
        return
    if isinstance(value, str):
        yield Named(path(at), kind, value)
    elif isinstance(value, (list, tuple)):
        for number, text in enumerate(value):
            if isinstance(text, str):
                yield Named(path((*at, number)), kind, text)
