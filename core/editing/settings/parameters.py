"""Hyperparameters with their descriptions: one declaration for the checks of the spec and for the page's controls."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from inspect import formatannotation
from typing import Any, TypeVar

from core import ceiling
from core.errors import UserError, nearest, shown
from core.names import Names

Config = TypeVar("Config")
KINDS: dict[str, Any] = {"int": int, "float": (int, float), "bool": bool, "str": str}


def param(
    default: Any,
    *,
    help: str,
    symbol: str = "",
    name: str | None = None,
    ge: int | float | None = None,
    gt: int | float | None = None,
    le: int | float | None = None,
    lt: int | float | None = None,
    choices: tuple | None = None,
    in_label: bool = False,
    names: Names | None = None,
    offers: tuple[tuple[Any, str], ...] = (),
    before: Any = None,
) -> Any:
    """A field of a method's or guard's configuration.

    `name` is its name in a spec if it is not a valid Python name (`lambda`); `symbol` its symbol in equations;
    `in_label` puts it into a lane's label even at its default; `offers` are common values, each with a description.
    `before` is the value in recipes recorded before the field existed, if that is not the default. For free text,
    `names` says what it is: a model, data, tasks, or nothing (text).
    """
    metadata = {
        "help": help,
        "symbol": symbol,
        "name": name,
        "ge": ge,
        "gt": gt,
        "le": le,
        "lt": lt,
        "choices": choices,
        "in_label": in_label,
        "names": names,
        "offers": offers,
        "before": before,
    }
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Parameter:
    """One hyperparameter as a control shows it. `kind`: int, float, bool, str or layers; None may be allowed."""

    name: str
    attribute: str
    kind: str
    optional: bool
    default: Any
    symbol: str
    help: str
    ge: int | float | None
    gt: int | float | None
    le: int | float | None
    lt: int | float | None
    choices: tuple | None
    offers: tuple = ()


def parameters(config: type) -> list[Parameter]:
    """The hyperparameters of a configuration class, in the order of their declaration."""
    return [_parameter(entry) for entry in fields(config) if entry.init]


def values(config: Any) -> dict[str, Any]:
    """A configuration's hyperparameters under their spec names, as JSON types."""
    own = {p.name: getattr(config, p.attribute) for p in parameters(type(config))}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in own.items()}


def recorded(config: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperparameters as a run recorded them; fields that did not exist then get their earlier meaning (`param`'s
    `before`)."""
    absent = {entry.metadata.get("name") or entry.name: entry.metadata.get("before") for entry in fields(config)}
    return {name: value for name, value in absent.items() if value is not None and name not in given} | dict(given)


def build(config: type[Config], given: Mapping[str, Any], what: str) -> Config:
    """A configuration from hyperparameters under their spec names; `what` names it in messages.

    Raises `UserError` for unknown names (with the nearest known one), wrong types and values out of range.
    """
    known = {p.name: p for p in parameters(config)}
    arguments = {}
    for name, value in given.items():
        if name not in known:
            raise UserError(f"{what} has no field {name!r}: {nearest(name, known)}")
        arguments[known[name].attribute] = checked(known[name], value, what)
    return config(**arguments)


def checked(parameter: Parameter, value: Any, what: str) -> Any:
    """`value` as the parameter's type, if it is within its range."""
    where = f"{what}: {parameter.name}"
    if value is None:
        if parameter.optional:
            return None
        raise UserError(f"{where} needs a value.")
    if parameter.kind == "layers":
        most = ceiling.LAYERS
        whole = isinstance(value, (list, tuple)) and value and all(type(v) is int and 0 <= v < most for v in value)
        if not whole or sorted(set(value)) != list(value):
            raise UserError(
                f"{where} should be layer numbers in ascending order, such as [4, 5, 6], not {shown(value)}."
            )
        return tuple(value)
    if not isinstance(value, KINDS[parameter.kind]) or isinstance(value, bool) != (parameter.kind == "bool"):
        raise UserError(f"{where} should be of type {parameter.kind}, not {shown(value)}.")
    if parameter.choices is not None and value not in parameter.choices:
        raise UserError(f"{where} should be one of {', '.join(map(str, parameter.choices))}, not {shown(value)}.")
    if isinstance(value, (int, float)):
        if not _finite(value):
            raise UserError(f"{where} should be a finite number of ordinary size, not {shown(value)}.")
        for limit, fits, sign in (
            (parameter.ge, lambda v, m: v >= m, "≥"),
            (parameter.gt, lambda v, m: v > m, ">"),
            (parameter.le, lambda v, m: v <= m, "≤"),
            (parameter.lt, lambda v, m: v < m, "<"),
        ):
            if limit is not None and not fits(value, limit):
                raise UserError(f"{where} should be {sign} {limit}, not {shown(value)}.")
    return float(value) if parameter.kind == "float" else value


def _finite(value: int | float) -> bool:
    """Whether a number is not infinite, not NaN, and not an integer too large for databases and tensors."""
    return math.isfinite(value) if isinstance(value, float) else value.bit_length() < 64


def _parameter(entry: Field) -> Parameter:
    declared = entry.type if isinstance(entry.type, str) else formatannotation(entry.type)
    kind = declared.removesuffix("| None").strip()
    kind = "layers" if kind.startswith("tuple[int") else kind
    meta = entry.metadata
    return Parameter(
        name=meta.get("name") or entry.name,
        attribute=entry.name,
        kind=kind,
        optional=declared.endswith("| None"),
        default=None if entry.default is MISSING else entry.default,
        symbol=meta.get("symbol", ""),
        help=meta.get("help", ""),
        offers=meta.get("offers") or (),
        **{key: meta.get(key) for key in ("ge", "gt", "le", "lt", "choices")},
    )
