"""Is it worth it? What edits achieve and what they cost, one point per lane and measured round."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from core import scores
from core.charts.formula import formula, frac, row, sub, words
from core.charts.grammar import Chart, Choice, Chosen, Plot, Rule
from core.charts.panel import Event, Panel, Start
from core.charts.table import EDITS, LANE, ROUND, Block, Column, short
from core.editing import guards, methods, priors, wrappers
from core.editing.recipe import named
from core.editing.settings.parameters import Parameter, parameters

SHOWN = [score for score in scores.SCORES if score.name == scores.SAID or score.kept]
KEPT = {score.name: score.kept for score in sorted(SHOWN, key=lambda score: score.name != scores.KEPT) if score.kept}
CONTROLS = ("shrink", "random")  # guards that do not look at what they remove
FEWEST = 3  # lanes that make a family
AROUND = {"prior": priors, "wrapper": wrappers}  # parts of a lane with numbers of their own, besides its guards


def frontier(event: Event) -> list[Block]:
    """The share of all edited facts that is reproduced, and the preserved shares, 0..1."""
    measured = event.get("scores") or {}
    shares = {score.name: short(measured[score.name]) for score in SHOWN if measured.get(score.name) is not None}
    return [{"table": "frontier", "edits": measured.get("edits")} | shares] if len(shares) > 1 else []


def start(event: Event) -> Start:
    """Tables of the lanes that are controls, and of the families: lanes that differ in one number only. Also, for
    the sweep: the numbers of each lane (`dials`), under keys of a spec ("guards.0.tau"), their names (`called`),
    which of them are integers (`whole`), and their `limits`."""
    lanes = {lane["label"]: lane for lane in event.get("lanes") or []}
    numbers = {label: list(fields(lane.get("recipe") or {})) for label, lane in lanes.items()}
    dials = {label: {key: value for key, _, _, value in own} for label, own in numbers.items()}
    known = {key: (name, field) for own in numbers.values() for key, name, field, _ in own}
    called = {key: name for key, (name, _) in known.items()}
    controls = {label: kind for label, lane in lanes.items() if (kind := control(lane.get("recipe") or {}))}
    blocks: list[Block] = [
        {"table": "families", "family": family["field"], "lane": family["lanes"], "value": family["values"]}
        for family in families(lanes, dials, called)
    ]
    if controls:
        blocks.append({"table": "controls", "lane": list(controls), "control": list(controls.values())})
    return Start(
        blocks=blocks,
        more={
            "called": called,
            "whole": sorted(key for key, (_, field) in known.items() if field.kind == "int"),
            "limits": {key: limits(field) for key, (_, field) in known.items()},
            "dials": dials,
        },
    )


def control(recipe: Mapping[str, Any]) -> str | None:
    """The guard that makes a lane a control, if one does."""
    return next((guard["name"] for guard in recipe.get("guards") or () if guard["name"] in CONTROLS), None)


def fields(recipe: Mapping[str, Any]) -> Iterator[tuple[str, str, Parameter, int | float]]:
    """The numbers of a resolved recipe: (key, name for people, field, value). Keys are as in a spec, with the prefix
    "guards.0." for those of the first guard, and "prior." and "wrapper." for those of the prior and the wrapper."""
    parts = [(f"guards.{place}", guards, guard) for place, guard in enumerate(recipe.get("guards") or ())]
    parts += [(part, package, own) for part, package in AROUND.items() if isinstance(own := recipe.get(part), Mapping)]
    for part, package, own in parts:
        config = package.get(own["name"])
        for field, value in numeric(config, own):
            yield f"{part}.{field.name}", f"{field.symbol or field.name} of {config.title}", field, value
    for field, value in numeric(methods.get(recipe["method"]), recipe) if "method" in recipe else ():
        yield field.name, f"{field.symbol} {field.name}" if field.symbol else field.name, field, value


def numeric(config: type, recipe: Mapping[str, Any]) -> list[tuple[Parameter, int | float]]:
    """The numbers among a configuration's hyperparameters, each with its value."""
    known = [entry for entry in parameters(config) if entry.kind in ("int", "float")]
    return [(entry, recipe[entry.name]) for entry in known if isinstance(recipe.get(entry.name), (int, float))]


def limits(field: Parameter) -> list[int | float | None]:
    """The least and the greatest value that a sweep offers, where a field has such."""
    low, high = field.ge if field.ge is not None else field.gt, field.le if field.le is not None else field.lt
    return [low, high]


def families(
    lanes: Mapping[str, Mapping[str, Any]],
    dials: Mapping[str, Mapping[str, int | float]],
    called: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Lanes that differ in one number only, in its order: `{"field", "lanes", "values"}`."""
    result = []
    for key, name in called.items():
        alike: dict[str, list[tuple[int | float, str]]] = {}
        for label, lane in lanes.items():
            if key in dials[label]:
                rest = changed(lane.get("recipe") or {}, key, None) | {"name": None}
                kin = json.dumps([rest, lane.get("from"), lane.get("without")], sort_keys=True, default=str)
                alike.setdefault(kin, []).append((dials[label][key], label))
        for members in alike.values():
            members.sort()
            if len({value for value, _ in members}) >= FEWEST:
                values, labels = zip(*members, strict=True)
                result.append({"field": name, "lanes": list(labels), "values": list(values)})
    return result


def changed(lane: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    """A lane or recipe with one field set: "lambda", "prior.gamma", or "guards.0.tau" of its first guard."""
    part, _, rest = key.partition(".")
    if part in AROUND:
        return {**lane, part: {**named(lane[part]), rest: value}}
    if part != "guards" or not rest:
        return {**lane, key: value}
    place, _, name = rest.partition(".")
    own = [dict(guard) for guard in lane.get("guards") or ()]
    own[int(place)][name] = value
    return {**lane, "guards": own}


PANEL = Panel(
    key="frontier",
    place=7,
    title="Is it worth it?",
    protocol="exact (every token is the arg-max), all facts edited so far, asked now; one point per lane and round",
    promise="What the edits achieve and what they cost: the trade-off that each guard makes.",
    explanation="Further right, more edits succeed; further up, more of everything else is kept. A guard is worth it "
    "where its lane lies above the others and above the controls (hollow stars), which shrink every update or remove "
    "random directions. Drag the ruler to compare the lanes at the same efficacy, where each reached it last, "
    "interpolated linearly between its rounds. Dots join lanes that differ in one number only, at the selected round: "
    "all of them have made the same edits.",
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
    plot=Plot(
        charts=(
            Chart(
                table="frontier",
                kind="path",
                x=scores.SAID,
                y=Chosen("kept", {name: name for name in KEPT}),
                title="",
                x_title="efficacy, exact",
                y_title=Chosen("kept", {name: f"kept: {kept[1]}" for name, kept in KEPT.items()}),
                through="families",
                hollow="controls",
                rules=(
                    Rule(
                        table="frontier",
                        column=Chosen("kept", {name: name for name in KEPT}),
                        where={"round": 0},
                        first=True,
                        label="unedited",
                    ),
                ),
            ),
        ),
        choices=(
            Choice(
                name="kept",
                label="What was kept",
                options=tuple((name, kept[0]) for name, kept in KEPT.items()),
            ),
        ),
    ),
    columns={
        "frontier": (LANE, ROUND, EDITS, *(Column(score.name, score.meaning, score.unit) for score in SHOWN)),
        "families": (Column("family", "differ in", "text"), LANE, Column("value", "at")),
        "controls": (LANE, Column("control", "control", "text")),
    },
    rows=frontier,
    start=start,
    wide=True,
    requests=("sweep",),
)
