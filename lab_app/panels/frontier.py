"""Is it worth it? What edits achieve against what they cost, a point per lane and measured round."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from core.editing import guards, methods
from core.editing.parameters import parameters
from lab_app.formula import formula, frac, row, sub, words
from lab_app.panels.panel import Panel, Payload, point, short

COLUMNS = {"said": "efficacy_exact", "unedited": "unedited_recall", "tasks": "task_mean", "near": "neighborhood_exact"}
CONTROLS = ("shrink", "random")  # guards that know nothing of what they take
FEWEST = 3  # lanes that make a family


def frontier(event: Mapping[str, Any]) -> Payload | None:
    """What is said of all facts edited so far, and what was kept, shares 0..1."""
    found = event.get("scores") or {}
    shares = {name: short(found[column]) for name, column in COLUMNS.items() if found.get(column) is not None}
    return point(event) | {"edits": found.get("edits")} | shares if len(shares) > 1 else None


def start(event: Mapping[str, Any]) -> Payload:
    """Which lanes are controls; the numbers that each lane is set by (`dials`), under keys of a spec ("guards.0.tau"),
    what they are `called` and which are `whole`; and the families: lanes that differ in one of them alone."""
    lanes = {lane["label"]: lane for lane in event.get("lanes") or []}
    dials = {label: numbers(lane.get("recipe") or {}) for label, lane in lanes.items()}
    called = {key: name for own in dials.values() for key, (name, _) in own.items()}
    whole = {key for own in dials.values() for key, (_, value) in own.items() if isinstance(value, int)}
    return {
        "controls": {label: kind for label, lane in lanes.items() if (kind := control(lane.get("recipe") or {}))},
        "called": called,
        "whole": sorted(whole),
        "dials": {label: {key: value for key, (_, value) in own.items()} for label, own in dials.items()},
        "families": families(lanes, dials, called),
    }


def control(recipe: Mapping[str, Any]) -> str | None:
    """The guard that makes a lane a control, if one does."""
    return next((guard["name"] for guard in recipe.get("guards") or () if guard["name"] in CONTROLS), None)


def numbers(recipe: Mapping[str, Any]) -> dict[str, tuple[str, int | float]]:
    """The numeric fields of a resolved recipe: key → (what a person calls it, its value)."""
    found: dict[str, tuple[str, int | float]] = {}
    for place, guard in enumerate(recipe.get("guards") or ()):
        config = guards.get(guard["name"])
        for name, symbol, value in numeric(config, guard):
            found[f"guards.{place}.{name}"] = (f"{symbol} of {config.title}", value)
    for name, symbol, value in numeric(methods.get(recipe["method"]), recipe) if "method" in recipe else ():
        found[name] = (name if symbol == name else f"{symbol} {name}", value)
    return found


def numeric(config: type, given: Mapping[str, Any]) -> list[tuple[str, str, int | float]]:
    """(name, symbol, value) of the numbers among a configuration's hyperparameters."""
    known = [entry for entry in parameters(config) if entry.kind in ("int", "float")]
    return [
        (entry.name, entry.symbol or entry.name, given[entry.name])
        for entry in known
        if isinstance(given.get(entry.name), (int, float))
    ]


def families(
    lanes: Mapping[str, Mapping[str, Any]],
    dials: Mapping[str, Mapping[str, tuple[str, int | float]]],
    called: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Lanes that are alike but for one number, in its order: `{"field", "lanes", "values"}`."""
    found = []
    for key, name in called.items():
        alike: dict[str, list[tuple[int | float, str]]] = {}
        for label, lane in lanes.items():
            if key in dials[label]:
                rest = changed(lane.get("recipe") or {}, key, None) | {"name": None}
                kin = json.dumps([rest, lane.get("from"), lane.get("without")], sort_keys=True, default=str)
                alike.setdefault(kin, []).append((dials[label][key][1], label))
        for members in alike.values():
            members.sort()
            if len({value for value, _ in members}) >= FEWEST:
                values, labels = zip(*members, strict=True)
                found.append({"field": name, "lanes": list(labels), "values": list(values)})
    return found


def changed(lane: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    """A lane or recipe with one field set: "lambda", or "guards.0.tau" of its first guard."""
    part, _, rest = key.partition(".")
    if part != "guards" or not rest:
        return {**lane, key: value}
    place, _, name = rest.partition(".")
    own = [dict(guard) for guard in lane.get("guards") or ()]
    own[int(place)][name] = value
    return {**lane, "guards": own}


PANEL = Panel(
    key="frontier",
    title="Is it worth it?",
    protocol="exact (every token is the arg-max), all facts edited so far, asked now; a point per lane and round",
    promise="What the edits achieve against what they cost, and the exchange at which a guard buys one with the other.",
    explanation="To the right more of the edits are said, upwards more of everything else is kept: a guard is worth "
    "it where its lane lies above the others, and above controls (hollow stars) that shrink every update or cut at "
    "random. Drag the ruler to read the lanes off at the same efficacy, where each was there last, by straight lines "
    "between its rounds; lanes that differ in one number alone are joined by dots at the round looked at, and on such "
    "a line all have made the same edits.",
    equation=formula(
        words("kept"),
        "(",
        "e",
        ")",
        "=",
        sub("q", "t"),
        "+",
        frac(row("e", "−", sub("p", "t")), row(sub("p", "t+1"), "−", sub("p", "t"))),
        "(",
        sub("q", "t+1"),
        "−",
        sub("q", "t"),
        ")",
    ),
    row=frontier,
    start=start,
    wide=True,
)
