"""Problems of a spec: where each is, what is wrong, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

from core.errors import UserError, clipped, nearest, one_line, path, shown

MOST_WHOLE = 10**12  # larger than any count or id here, and small enough for a database
LONGEST_PROBLEM = 600  # characters of one problem
MOST_SHOWN = 3  # problems spelled out in the one line that the command line prints


@dataclass(frozen=True)
class SpecProblem:
    """One problem. `where` is a path into the spec such as `facts.items[3].prompt`, or "" for the whole spec."""

    where: str
    message: str

    def __post_init__(self) -> None:
        for name in ("where", "message"):
            object.__setattr__(self, name, clipped(one_line(getattr(self, name)), LONGEST_PROBLEM))

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class SpecError(UserError):
    """A spec that cannot be run. `problems` has every problem; the message shows the first few in one line."""

    def __init__(self, problems: Sequence[SpecProblem]):
        shown = "; ".join(str(problem) for problem in problems[:MOST_SHOWN])
        more = len(problems) - MOST_SHOWN
        super().__init__(f"{shown}; and {more:,} more problems" if more > 0 else shown)
        self.problems = list(problems)


def whole(value: Any, name: str) -> int:
    """A whole number that a person sent as a count or an id. Raises `UserError` if `value` is not a whole number, or is
    larger than `MOST_WHOLE`."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{name} should be a whole number, not {shown(value)}") from None
    if abs(number) > MOST_WHOLE:
        raise UserError(f"{name} should be a whole number of at most {MOST_WHOLE:,}, not {shown(value)}")
    return number


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[SpecProblem]:
    """The errors that pydantic reports for a dictionary that should be a `model`, one problem per field."""
    problems: dict[str, SpecProblem] = {}
    for details in error.errors(include_url=False):
        *inside, last = details["loc"] or ("",)
        location = [part for part in inside if not _names_a_type(part, model)]
        if details["type"] == "extra_forbidden" or not _names_a_type(last, model):  # a field may have any name
            location.append(last)
        where = path(location)
        problems.setdefault(where, SpecProblem(where, _words(details, location, model)))
    return list(problems.values())


def _words(details: Any, location: Sequence[int | str], model: type[BaseModel]) -> str:
    kind, context, value = details["type"], details.get("ctx", {}), details.get("input")
    if kind == "extra_forbidden":
        return f"unknown field; {nearest(str(location[-1]), _fields(model, location[:-1]))}"
    if kind == "missing":
        return "missing; give it a value"
    if kind == "value_error":
        return str(context.get("error", details["msg"])).removeprefix("Value error, ")
    words = details["msg"].replace("Input should be", "should be").replace("Input should", "should")
    return f"{words}, not {shown(value)}"


def _fields(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """The fields that the spec has at a location."""
    for part in location:
        field = model.model_fields.get(str(part)) if isinstance(part, str) else None
        inner = _model_in(field.annotation) if field else None
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The first pydantic model inside a type such as `Model | None` or `list[Model]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) is Literal:
        return None
    return next((inner for part in get_args(annotation) if (inner := _model_in(part))), None)


def _names_a_type(part: int | str, model: type[BaseModel]) -> bool:
    """Whether pydantic put a member of a union (`bool`, `list[str]`, `literal[…]`) into the path of a problem."""
    return isinstance(part, str) and (part in ("bool", "int", "float", "str") or "[" in part or "-" in part)
