"""Lanes as a person writes them: "memit + revive(tau=0.1)" becomes a lane of a spec. Needs no torch.

memit                                       a method
memit(lambda=100, layers=[4, 5])            with hyperparameters
memit + lowrank(rank=64) + revive(tau=0.1)  with a prior and a guard; guards act in this order
rome + simie                                in a wrapper
bold: memit + shrink(factor=0.5)            called "bold"
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from core.editing import guards, methods, priors, wrappers
from core.errors import UserError, nearest

TERM = re.compile(r"\s*([A-Za-z_]\w*)\s*(?:\((.*)\))?\s*", re.DOTALL)
NAMED = re.compile(r"\s*([^:(){}\[\]\"']{1,80}?)\s*:(.*)", re.DOTALL)
WORDS = {"true": True, "false": False, "null": None, "none": None}
OPEN, CLOSE = "([{", ")]}"


def lanes_of(lanes: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Lanes of a spec, from a text, a dictionary as in a spec, or a list of these. Raises `UserError`."""
    entries = [lanes] if isinstance(lanes, (str, Mapping)) else list(lanes)
    if not entries:
        raise UserError('no lane was given; name at least one method, such as "memit"')
    return [parsed(lane) if isinstance(lane, str) else _lane_dict(lane) for lane in entries]


def parsed(text: str) -> dict[str, Any]:
    """The lane that a text describes. Whether its values are in range is checked with the spec."""
    named = NAMED.fullmatch(text)
    name, recipe = (named[1], named[2]) if named else (None, text)
    first, *others = [_term(term, text) for term in _split(recipe, "+", text)]
    method, options = first
    if method not in methods.names():
        raise UserError(f'"{text}": there is no method "{method}"; {nearest(method, methods.names())}')
    lane: dict[str, Any] = {"method": method, **options}
    for part, options_of_part in others:
        if part in guards.names():
            lane.setdefault("guards", []).append({"name": part, **options_of_part})
            continue
        kind = "prior" if part in priors.names() else "wrapper" if part in wrappers.names() else None
        if kind is None:
            known = [*guards.names(), *priors.names(), *wrappers.names()]
            raise UserError(f'"{text}": there is no guard, prior or wrapper "{part}"; {nearest(part, known)}')
        if kind in lane:
            raise UserError(f'"{text}": a lane has one {kind}, not {lane[kind]["name"]} and {part}')
        lane[kind] = {"name": part, **options_of_part}
    return lane if name is None else {**lane, "name": name}


def _lane_dict(lane: Any) -> dict[str, Any]:
    if not isinstance(lane, Mapping):
        raise UserError(f'a lane is text such as "memit + revive(tau=0.1)", or a dictionary, not {lane!r}')
    return dict(lane)


def _term(term: str, text: str) -> tuple[str, dict[str, Any]]:
    """("revive", {"tau": 0.1}) of "revive(tau=0.1)"."""
    match = TERM.fullmatch(term)
    if match is None:
        raise UserError(f'"{text}": "{term.strip()}" should be a name, or a name with options: revive(tau=0.1)')
    options: dict[str, Any] = {}
    for part in _split(match[2], ",", text) if (match[2] or "").strip() else ():
        name, sign, value = part.partition("=")
        name = name.strip()
        if not sign or not name.isidentifier():
            raise UserError(f'"{text}": "{part.strip()}" should be an option with its value, such as tau=0.1')
        if name in options:
            raise UserError(f'"{text}": {name} is given twice; keep one')
        options[name] = _value(value.strip(), text)
    return match[1].lower(), options


def _value(written: str, text: str) -> Any:
    """A number, a quoted text, a list, true, false, null, or a bare word as text."""
    if written.lower() in WORDS:
        return WORDS[written.lower()]
    try:
        return ast.literal_eval(written)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        if re.fullmatch(r"[A-Za-z_][\w.-]*", written):
            return written
        raise UserError(f'"{text}": "{written}" is no value; quote text, and write lists as [4, 5]') from None


def _split(text: str, sign: str, whole: str) -> list[str]:
    """The parts of a text between signs that are outside brackets and quotes."""
    parts = [""]
    for letter, inside in _marked(text, whole):
        if letter == sign and not inside:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _marked(text: str, whole: str) -> Iterator[tuple[str, bool]]:
    """Each character, and whether it is inside brackets or quotes."""
    opened, quote = "", ""
    for letter in text:
        yield letter, bool(opened or quote)
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in OPEN:
            opened += letter
        elif letter in CLOSE:
            if not opened or OPEN.index(opened[-1]) != CLOSE.index(letter):
                raise UserError(f'"{whole}": the brackets do not match')
            opened = opened[:-1]
    if opened or quote:
        raise UserError(f'"{whole}": {"a quote" if quote else "a bracket"} is not closed')
