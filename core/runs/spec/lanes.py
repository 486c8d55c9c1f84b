"""The lanes of a spec: checks of their methods, guards and hyperparameters, their labels, and their order. Needs no
torch: a method's configuration declares its hyperparameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from core.editing import guards, methods, priors, wrappers
from core.editing.lane.method import Recipe
from core.editing.recipe import named, recipe_from_dict
from core.editing.settings.defaults import ModelInfo
from core.editing.settings.parameters import checked, parameters
from core.errors import UserError, nearest
from core.runs.spec.left_out import written
from core.runs.spec.problems import SpecProblem, path, shown

LANE_FIELDS = ("method", "guards", "prior", "wrapper", "name", "from", "without")
FROM = 'should be where the lane begins: {"lane": "MEMIT", "round": 5}'
LONGEST_NAME = 80


def check_lanes(lanes: Any) -> list[SpecProblem]:
    """All problems of a spec's `lanes` (pydantic reports it if they are not a list of objects)."""
    if not isinstance(lanes, list):
        return []
    problems = [problem for i, lane in enumerate(lanes) if isinstance(lane, Mapping) for problem in _lane(lane, i)]
    if problems or not all(isinstance(lane, Mapping) for lane in lanes):
        return problems
    return _repeated(lanes) or _references(lanes)


def labelled(lanes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The lanes, each with a unique `name`: its own, or one made from the recipe."""
    taken = {lane["name"] for lane in lanes if lane.get("name")}
    named = []
    for lane in lanes:
        name = lane.get("name")
        if not name:
            name, number = label(lane), 2
            while name in taken:
                name, number = f"{label(lane)} ({number})", number + 1
            taken.add(name)
        named.append({**lane, "name": name})
    return named


def label(lane: Mapping[str, Any]) -> str:
    """The default name of a lane: "MEMIT + REVIVE τ=0.1", "MEMIT λ=100", "MEMIT-F in SimIE"."""
    method = methods.get(lane["method"])
    prior, wrapper = named(lane.get("prior") or "full"), lane.get("wrapper")
    words = [
        method.title + priors.get(prior["name"]).suffix,
        *_settings_text(priors.get(prior["name"]), prior, ("name",)),
    ]
    words += _settings_text(method, lane, LANE_FIELDS)
    if wrapper is not None:
        kind = wrappers.get(named(wrapper)["name"])
        words += ["in", kind.title, *_settings_text(kind, named(wrapper), ("name",))]
    parts = [" ".join(words)]
    for guard in lane.get("guards") or ():
        guard_config = guards.get(guard["name"])
        parts.append(" ".join([guard_config.title, *_settings_text(guard_config, guard, ("name",))]))
    begins = origin(lane)
    if begins is not None:
        parts[-1] += f" from round {begins[1]} of {begins[0]}"
    if lane.get("without"):
        parts[-1] += " without " + ", ".join(f"facts[{index}]" for index in lane["without"])
    return " + ".join(parts)[:LONGEST_NAME]


def in_order(lanes: Sequence[Mapping[str, Any]]) -> list[int]:
    """Indices of the lanes in the order in which they run: their own order, except that a lane runs after the lane that
    it is matched to."""
    by_name = {lane["name"]: lane for lane in lanes}
    place = {lane["name"]: i for i, lane in enumerate(lanes)}
    order: list[int] = []

    def add(i: int) -> None:
        if i not in order:
            for needed in needs(lanes[i], by_name):
                add(place[needed])
            order.append(i)

    for i in range(len(lanes)):
        add(i)
    return order


def matched(lane: Mapping[str, Any]) -> list[str]:
    """Labels of the lanes that this one's guards are matched to."""
    return [guard["match"] for guard in lane.get("guards") or () if guard.get("match")]


def needs(lane: Mapping[str, Any], lanes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Labels of the lanes whose round must come before this one's: those that it is matched to, and their ancestors,
    which replace them in earlier rounds."""
    return [other for match in matched(lane) for other in (match, *ancestors(match, lanes))]


def ancestors(label_: str, lanes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The ancestors of a lane: the lane that it branched from, that lane's origin, and so on."""
    labels: list[str] = []
    begins = origin(lanes[label_]) if label_ in lanes else None
    while begins is not None and begins[0] in lanes and begins[0] not in labels:
        labels.append(begins[0])
        begins = origin(lanes[begins[0]])
    return labels


def origin(lane: Mapping[str, Any]) -> tuple[str, int] | None:
    """(label of the lane, round) that a lane branches from; None if it begins with the unedited model."""
    begins = lane.get("from")
    return None if begins is None else (begins["lane"], begins["round"])


def check_origins(lanes: Sequence[Mapping[str, Any]], rounds: int, failed: Mapping[str, int] | None = None) -> None:
    """Raises `UserError` for a lane that would branch from the last of the run's `rounds`, or from a lane that failed
    before (`failed`: in which round)."""
    for lane in lanes:
        begins = origin(lane)
        if begins is None:
            continue
        parent, number = begins
        ended = (failed or {}).get(parent)
        why = ""
        if number >= rounds:
            why = f"rounds 1 to {rounds - 1} leave something to edit" if rounds > 1 else "this run has one round"
        elif ended is not None and ended <= number:
            why = f"that lane ended in round {ended}"
        if why:
            raise UserError(f'lane "{lane["name"]}" cannot branch from round {number} of "{parent}": {why}')


def recipe_of_lane(lane: Mapping[str, Any], model: ModelInfo | None = None) -> Recipe:
    """The recipe of a lane of a spec: everything except `from` and `without`."""
    return recipe_from_dict({name: value for name, value in lane.items() if name not in ("from", "without")}, model)


def _lane(lane: Mapping[str, Any], index: int) -> list[SpecProblem]:
    at: list[int | str] = ["lanes", index]
    problems = []
    name = lane.get("name")
    if name is not None and not (isinstance(name, str) and 0 < len(name.strip()) <= LONGEST_NAME):
        problems.append(SpecProblem(path([*at, "name"]), f"should be text of 1 to {LONGEST_NAME} letters"))
    problems += _origin(lane.get("from"), [*at, "from"]) + written(lane.get("without"), [*at, "without"])
    for key, package in (("prior", priors), ("wrapper", wrappers)):
        problems += _part(package, lane.get(key), [*at, key])
    if "method" not in lane:
        problems.append(SpecProblem(path([*at, "method"]), f"missing; name one of: {', '.join(methods.names())}"))
        return problems
    problems += _configured(methods, lane, "method", at, LANE_FIELDS)
    entries = lane.get("guards") or []
    if not isinstance(entries, list):
        problems.append(SpecProblem(path([*at, "guards"]), 'should be a list: [{"name": "revive", "tau": 0.1}]'))
        return problems
    for number, guard in enumerate(entries):
        here = [*at, "guards", number]
        if not isinstance(guard, Mapping) or "name" not in guard:
            problems.append(
                SpecProblem(path(here), 'should be an object with its name: {"name": "revive", "tau": 0.1}')
            )
        else:
            problems += _configured(guards, guard, "name", here, ("name",))
    return problems or _as_a_whole(lane, at)


def _part(package: Any, value: Any, at: Sequence[int | str]) -> list[SpecProblem]:
    """Problems of a prior or wrapper, given as a name, or as an object with its name and hyperparameters."""
    if value is None:
        return []
    entry = named(value)
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
        return [SpecProblem(path(at), f"should be a name, or an object with its name, not {shown(value)}")]
    where = [*at, "name"] if isinstance(value, Mapping) else at
    try:
        package.get(entry["name"])
    except UserError as error:
        return [SpecProblem(path(where), str(error))]
    return _configured(package, entry, "name", at, ("name",))


def _origin(value: Any, at: Sequence[int | str]) -> list[SpecProblem]:
    """Problems of a lane's `from`. Whether that lane exists is checked later."""
    if value is None:
        return []
    if not isinstance(value, Mapping) or set(value) != {"lane", "round"} or not isinstance(value["lane"], str):
        return [SpecProblem(path(at), f"{FROM}, not {shown(value)}")]
    if type(value["round"]) is not int or value["round"] < 1:
        message = f"should be a round from 1 on (leave from out to begin at round 0), not {shown(value['round'])}"
        return [SpecProblem(path([*at, "round"]), message)]
    return []


def _as_a_whole(lane: Mapping[str, Any], at: Sequence[int | str]) -> list[SpecProblem]:
    """Problems of a whole lane: fields that depend on each other."""
    try:
        recipe_of_lane(lane)
    except UserError as error:
        return [SpecProblem(path(at), str(error))]
    return []


def _configured(
    package: Any, entry: Mapping[str, Any], key: str, at: Sequence[int | str], other_fields: Iterable[str]
) -> list[SpecProblem]:
    """Problems of one method or guard with its hyperparameters."""
    try:
        config = package.get(str(entry[key]))
    except UserError as error:
        return [SpecProblem(path([*at, key]), str(error))]
    known = {parameter.name: parameter for parameter in parameters(config)}
    problems = []
    for name, value in entry.items():
        where = path([*at, str(name)])
        if name in known:
            try:
                checked(known[name], value, "")
            except UserError as error:
                problems.append(SpecProblem(where, str(error).removeprefix(": ")))
        elif name not in other_fields:
            problems.append(SpecProblem(where, f"unknown field; {nearest(str(name), [*known, *other_fields])}"))
    return problems


def _settings_text(config: Any, values: Mapping[str, Any], other_fields: Iterable[str]) -> list[str]:
    """The settings of a label, as symbol=value: those that differ from the defaults, and those that are always shown
    (τ)."""
    always = {entry.name for entry in fields(config) if entry.metadata.get("in_label")}
    settings = []
    for entry in parameters(config):
        value = values.get(entry.name, entry.default)
        if entry.attribute in always or (value != entry.default and entry.name not in other_fields):
            text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else f"{value}"
            settings.append(f"{entry.symbol or entry.name}={text}")
    return settings


def _repeated(lanes: Sequence[Mapping[str, Any]]) -> list[SpecProblem]:
    first: dict[str, int] = {}
    problems = []
    for i, lane in enumerate(lanes):
        name = lane.get("name")
        if name and first.setdefault(name, i) != i:
            problems.append(
                SpecProblem(f"lanes[{i}].name", f'"{name}" is also the name of lanes[{first[name]}]; rename one')
            )
    return problems


def _references(lanes: Sequence[Mapping[str, Any]]) -> list[SpecProblem]:
    """Problems of a guard's `match` and a lane's `from`: they must name another lane, without cycles."""
    by_name = {lane["name"]: lane for lane in labelled(lanes)}
    problems = []
    for i, lane in enumerate(by_name.values()):
        begins = origin(lane)
        for match in matched(lane):
            if match not in by_name:
                message = f'match: no lane is called "{match}"; {nearest(match, by_name)}'
                problems.append(SpecProblem(f"lanes[{i}].guards", message))
        if begins is not None and begins[0] not in by_name:
            message = f'no lane is called "{begins[0]}"; {nearest(begins[0], by_name)}'
            problems.append(SpecProblem(f"lanes[{i}].from", message))
    if problems:
        return problems
    for i, (name, lane) in enumerate(by_name.items()):
        if name in _reached(needs(lane, by_name), lambda other: needs(by_name[other], by_name)):
            message = f'match: "{name}" is matched to itself; name another lane'
            problems.append(SpecProblem(f"lanes[{i}].guards", message))
        if name in _reached(ancestors(name, by_name), lambda other: ancestors(other, by_name)):
            problems.append(SpecProblem(f"lanes[{i}].from", f'"{name}" branches from itself; name another lane'))
    return problems


def _reached(first: Iterable[str], following: Callable[[str], Iterable[str]]) -> set[str]:
    """All lanes that can be reached from `first`, including these."""
    seen, pending = set(), list(first)
    while pending:
        label_ = pending.pop()
        if label_ not in seen:
            seen.add(label_)
            pending += following(label_)
    return seen
