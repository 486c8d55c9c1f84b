"""What each panel should draw, read off the events that a run stored and not off what the panels make of them.

`drawn` gives the curves of a panel as `{(lane or reference, column): [(x, y), …]}`, `heads` the numbers at its head as
`[(title, sign of the unit, {lane: (stored value, as it is said)})]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Curves = dict[tuple[str, str], list[tuple[Any, Any]]]
Heads = list[tuple[str, str, dict[str | None, tuple[Any, str]]]]

PROTOCOLS = {  # the columns that each shows, in order
    "probability": ("efficacy", "paraphrase", "neighborhood", "unedited_recall", "locality_kept"),
    "exact": ("efficacy_exact", "paraphrase_exact", "neighborhood_exact", "unedited_recall", "locality_kept"),
    "when edited": ("efficacy_when_edited", None, None, "unedited_recall", "locality_kept"),
}
SCORES = ("Efficacy", "Paraphrase", "Neighbors", "Unedited", "As before")
MEASURES = {"ls": "LS to W₀", "ss_right": "SS right to W₀", "ss_left": "SS left to W₀"}
CASES = [  # every panel with each of its choices
    *(("scores", {"protocol": protocol}) for protocol in PROTOCOLS),
    *(("tasks", {"task": task}) for task in ("task_mean", "task_entailment")),
    *(("frontier", {"kept": kept}) for kept in ("unedited_recall", "task_mean", "neighborhood_exact")),
    *(("energy", {"scale": scale, "layer": layer}) for scale, layer in (("sigma", 5), ("share", 4))),
    *(("similarity", {"measure": measure, "layer": 3 + i}) for i, measure in enumerate(MEASURES)),
    *(("drift", {"layer": layer}) for layer in (3, 5)),
    *(("directions", {"side": side, "layer": 4}) for side in ("right", "left")),
    ("map", {"method": "pca"}),
]


def short(value: float, digits: int = 4) -> float:
    """As few digits as are sent."""
    return float(f"{value:.{digits}g}")


def percent(value: float | None) -> str:
    """A share as it is said."""
    return "–" if value is None else str(int(100 * short(value) + 0.5))


def plain(value: float | None) -> str:
    """A number that is no share, as it is said."""
    if value is None:
        return "–"
    return "0" if abs(value) < 1e-6 else f"{short(value):.2f}"


class Stored:
    """A run's events, looked at at a round."""

    def __init__(self, events: Sequence[Mapping[str, Any]], round: int):
        self.started = events[0]
        self.measured = {(e["lane"], e["round"]): e for e in events if e["kind"] == "measured"}
        self.lanes = [lane["label"] for lane in self.started["lanes"]]
        self.rounds = sorted({number for _, number in self.measured})
        self.round = round

    def history(self, lane: str) -> Iterator[Mapping[str, Any]]:
        return (self.measured[lane, number] for number in self.rounds)

    def now(self, lane: str) -> Mapping[str, Any]:
        return self.measured[lane, self.round]

    def scores(self, lane: str, column: str, x: str = "edits", first: int = 0) -> list[tuple[float, float]]:
        found = [event["scores"] for event in self.history(lane) if event["round"] >= first]
        return [(short(one[x]) if x != "edits" else one[x], short(one[column])) for one in found if column in one]


def layer_of(rows: Sequence[Mapping[str, Any]], number: int) -> Mapping[str, Any]:
    return next(row for row in rows if row["layer"] == number)


def at_index(xs: Sequence[int], ys: Sequence[float], digits: int = 4) -> list[tuple[int, float]]:
    """All points of a stored curve, counted from 1: what is drawn are some of them."""
    return [(x + 1, short(y, digits)) for x, y in zip(xs, ys, strict=True)]


def drawn(key: str, run: Stored, choices: Mapping[str, Any]) -> Curves:
    """The curves of a panel. Of long ones all points are given; the panel draws some."""
    layer = choices.get("layer")
    found: Curves = {}
    for lane in run.lanes:
        now = run.now(lane)
        if key == "scores":
            for column in filter(None, PROTOCOLS[choices["protocol"]]):
                found[lane, column] = run.scores(lane, column)
        elif key == "tasks":
            found[lane, choices["task"]] = run.scores(lane, choices["task"])
        elif key == "frontier":
            found[lane, choices["kept"]] = run.scores(lane, choices["kept"], "efficacy_exact", 1)
        elif key == "energy":
            stored, name = layer_of(now["spectra"], layer), {"sigma": "sigma", "share": "cumulative"}[choices["scale"]]
            found[lane, choices["scale"]] = at_index(stored["index"], stored[name])
        elif key == "similarity":
            for column in (choices["measure"], "drift_right", "drift_left"):
                rows = [(event["scores"]["edits"], layer_of(event["layers"], layer)) for event in run.history(lane)]
                found[lane, column] = [(edits, short(row[column])) for edits, row in rows]
        elif key == "drift":
            stored = layer_of(now["drift"], layer)
            found[lane, "rk"] = at_index(stored["k"], stored["rk"])
        elif key == "directions":
            stored, side = layer_of(now["similarity"], layer), choices["side"]
            first = at_index(stored[f"index_{side}"], stored[f"ss_{side}_first"], 3)
            best = at_index(stored["index_max"], stored[f"ss_{side}_max"], 3)
            found[lane, f"ss_{side}"] = first + best
        elif key == "map":
            found[lane, "y"] = [
                (short(x, 3), short(y, 3)) for x, y in zip(now["map"]["x"], now["map"]["y"], strict=True)
            ]
    if key == "energy":
        stored = layer_of(run.started["spectra"], layer)
        name = {"sigma": "sigma", "share": "cumulative"}[choices["scale"]]
        found["unedited", choices["scale"]] = at_index(stored["index"], stored[name])
    if key == "drift":
        stored = layer_of(run.started["controls"], layer)
        found["null edit", "rk"] = at_index(stored["k"], stored["null"])
        found["other inputs, no edit", "rk"] = at_index(stored["k"], stored["resampled"])
    return found


def heads(key: str, run: Stored, choices: Mapping[str, Any]) -> Heads:
    """The numbers at the head of a panel."""
    layer = choices.get("layer")

    def each(title: str, sign: str, says: Any, value: Any) -> tuple[str, str, dict[str | None, tuple[Any, str]]]:
        known = {lane: value(run.now(lane)) for lane in run.lanes}
        return title, sign, {lane: (found, says(found)) for lane, found in known.items()}

    if key == "scores":
        columns = PROTOCOLS[choices["protocol"]]
        return [
            each(title, "%", percent, lambda event, column=column: event["scores"].get(column))
            for title, column in zip(SCORES, columns, strict=True)
        ]
    if key == "tasks":
        title = choices["task"].removeprefix("task_")
        return [each(title, "%", percent, lambda event: event["scores"][choices["task"]])]
    if key == "energy":
        rank = run.started["tau_k"]["0.1"][str(layer)]
        shaded = ("k of W₀ at τ = 0.1 (shaded)", "", {None: (rank, str(rank))})
        return [shaded, each("k of Wₜ (dotted)", "", str, lambda event: layer_of(event["spectra"], layer)["k"])]
    if key == "similarity":
        titles = (
            MEASURES[choices["measure"]],
            "Drift inside the block, right",
            "Drift inside the block, left (dotted)",
        )
        columns = (choices["measure"], "drift_right", "drift_left")
        return [
            each(title, "", plain, lambda event, column=column: layer_of(event["layers"], layer)[column])
            for title, column in zip(titles, columns, strict=True)
        ]
    if key == "drift":
        over = each("Directions above 1", "%", percent, lambda event: layer_of(event["layers"], layer)["rk_over_1"])
        return [over, each("Median", "", plain, lambda event: layer_of(event["layers"], layer)["rk_median"])]
    if key == "directions":

        def nearest(event: Mapping[str, Any]) -> int:
            stored, side = layer_of(event["similarity"], layer), choices["side"]
            values = stored[f"ss_{side}_first"]
            return stored[f"index_{side}"][values.index(max(values))] + 1

        return [each("The first direction is nearest to j", "", str, nearest)]
    return []


def same(found: Mapping[tuple[str, str], list[tuple[Any, Any]]], wanted: Curves) -> list[str]:
    """What differs between the curves that are drawn and those that are stored: nothing. A long curve may be drawn with
    some of its points, its first and last among them."""
    wrong = [f"{name} is not drawn" for name in wanted if name not in found]
    wrong += [f"{name} is drawn, and not stored" for name in found if name not in wanted]
    for name in found.keys() & wanted.keys():
        points, stored = found[name], wanted[name]
        if len(stored) <= 20 and len(points) != len(stored):
            wrong.append(f"{name} has {len(points)} points, not {len(stored)}")
        known = {}
        for x, y in stored:
            known.setdefault(x, set()).add(y)
        for x, y in points:
            if not any(abs(y - value) <= 1e-9 + 2e-4 * abs(value) for value in known.get(x, ())):
                wrong.append(f"{name} is {y} at {x}, not {known.get(x)}")
                break
        if stored and not {stored[0][0], stored[-1][0]} <= {x for x, _ in points}:
            wrong.append(f"{name} lacks an end")
    return wrong
