"""Runs side by side: the settings of their lanes, their last scores, and their curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.charts.grammar import Chart, Choice, Chosen, Plot
from core.charts.table import short
from core.editing.lane.method import Recipe
from core.editing.settings.defaults import ModelInfo, by_name
from core.editing.settings.parameters import values
from core.errors import UserError
from core.runs.spec.lane_notes import lane_notes
from core.runs.spec.lanes import recipe_of_lane
from core.runs.spec.plan import Past
from core.runs.spec.recorded import recorded_recipe
from core.runs.store.store import Run, Store
from core.scores import SCORES as KNOWN
from lab_app.form.experiment import FITTED, text_of
from lab_app.markup import text

MOST_RUNS, MOST_LANES = 6, 12
POINTS = 120  # of one curve
SCORES = {score.name: score.compared for score in KNOWN if score.compared}
CURVES = tuple(score.name for score in KNOWN if score.curve)
NOT_SETTINGS = ("facts", "lanes", "title", "measure", "device")  # said in other words, or changes no result
PLOT = Plot(
    charts=(
        Chart(
            table="curves",
            kind="line",
            x="edits",
            y=Chosen("measure"),
            title="",
            x_title="edits",
            y_title="",
            unit="share",
        ),
    ),
    choices=(Choice(name="measure", label="Measure", options=tuple((name, SCORES[name]) for name in CURVES)),),
)
Resolved = tuple[dict[str, Any], Recipe | None]
MEASURED, WAITS = "as measured", "chosen when the run begins"
OTHER_FACTS = "These runs edit different facts, so their scores answer different questions."
OTHER_PROTOCOL = (
    "Some of these runs make single edits, restored after each round, others edits on top of each other: their scores"
    " answer different questions."
)
OTHER_COUNT = "The lanes have different numbers of edits: each score is after the lane’s last measured round."


def compared(store: Store, runs: Sequence[str]) -> dict[str, Any]:
    """The lanes of these runs: `{"runs": [{"id", "title", "says"}], "lanes": […], "notes": [sentences]}`, with the plot
    of their curves and the names of their scores (`names`).

    A lane has `run` (place in the list), `label`, `settings` (name → text), `scores` (shares 0..1, with `edits` and
    `round`), and `curve`: `edits` and, for each of `CURVES` that was measured, the values there. Raises `UserError` for
    runs that are not there, or too many.
    """
    wanted = list(dict.fromkeys(str(run) for run in runs))
    if not 1 <= len(wanted) <= MOST_RUNS:
        raise UserError(f"1 to {MOST_RUNS} runs can be compared, not {len(wanted)}")
    found = [store.get(run) for run in wanted]
    missing = [name for name, run in zip(wanted, found, strict=True) if run is None]
    if missing:
        raise UserError(f"there is no run {missing[0][:40]}: it was deleted, or its address is wrong")
    there = [run for run in found if run is not None]
    pasts = [Past(event for _, event in store.events(run.id)) for run in there]
    recipes = [resolved(run.spec or {}, past.started) for run, past in zip(there, pasts, strict=True)]
    opened = zip(there, pasts, recipes, strict=True)
    lanes = [lane for place, each in enumerate(opened) for lane in lanes_of(*each, place)]
    if len(lanes) > MOST_LANES:
        raise UserError(f"these runs have {len(lanes)} lanes; at most {MOST_LANES} are compared: choose fewer runs")
    shown = [{"id": run.id, "title": run.title, "says": text.STATES.get(run.status, run.status)} for run in there]
    compared = {"runs": shown, "lanes": lanes, "notes": notes(there, lanes) + beware(there, recipes)}
    return compared | {"plot": PLOT.as_dict(), "names": SCORES}


def lanes_of(run: Run, past: Past, recipes: Mapping[str, Resolved], place: int) -> list[dict[str, Any]]:
    """The lanes of one run; without scores if it has not begun."""
    spec = run.spec or {}
    asked = {lane["name"]: lane for lane in spec.get("lanes", ())}
    common = {"facts": facts_of(spec), **flat({k: v for k, v in spec.items() if k not in NOT_SETTINGS})}
    lanes = []
    for label, (recipe, known) in recipes.items():
        own = flat({**asked.get(label, {}), **recipe} | {"name": None}) | unfitted(asked.get(label, {}), known)
        way = past.history(label)
        kept = [way[i] for i in thinned_evenly(len(way))]
        rows = [past.scores[at] for at in kept]
        last = {name: short(rows[-1].get(name)) for name in ("edits", *SCORES)} if rows else {}
        names = [name for name in CURVES if any(row.get(name) is not None for row in rows)]
        curve = {name: [short(row.get(name)) for row in rows] for name in ("edits", *names)}
        scores = {name: value for name, value in last.items() if value is not None}
        scores |= {"round": way[-1][1]} if way else {}
        lanes.append({"run": place, "label": label, "settings": own | common, "scores": scores, "curve": curve})
    return lanes


def resolved(spec: Mapping[str, Any], started: Mapping[str, Any] | None) -> dict[str, Resolved]:
    """By label: the lane with all settings, including those from its prior, wrapper, guards and model, and its recipe.

    Before a run has begun they follow from the model's name; None if that is not enough.
    """
    found: dict[str, Resolved] = {}
    if started is not None:
        for entry in started["lanes"]:
            recorded = recorded_recipe(entry["recipe"]) if entry.get("recipe") else {}
            found[entry["label"]] = (recorded, known_recipe(recorded, None))
        return found
    info = by_name(spec.get("model", "pocket"), (spec.get("facts") or {}).get("source") or "")
    for lane in spec.get("lanes", ()):
        recipe = known_recipe(lane, info)
        found[lane["name"]] = (dict(lane) if recipe is None else recipe.as_dict(), recipe)
    return found


def known_recipe(lane: Mapping[str, Any], info: ModelInfo | None) -> Recipe | None:
    """The recipe of a lane, or None if this version cannot read it."""
    try:
        return recipe_of_lane(lane, info) if lane else None
    except (UserError, KeyError):
        return None


def unfitted(asked: Mapping[str, Any], recipe: Recipe | None) -> dict[str, str]:
    """Settings shown as text: measured ones, those that depend on the model, and those without effect."""
    if recipe is None:
        return {}
    own = values(recipe.method)
    said: dict[str, str] = {name: MEASURED for name in ("lambda", "beta") if name in own and own[name] is None}
    if recipe.method.layers is None:
        said |= {name: WAITS for name in FITTED if name in own and name not in asked}
    said |= {name: f"{text_of(own.get(name, ''))} (no effect: {why})".strip() for name, why in recipe.idle.items()}
    return said


def thinned_evenly(count: int) -> list[int]:
    """Positions 0 … count-1, at most `POINTS` of them, evenly spaced; first and last included."""
    if count <= POINTS:
        return list(range(count))
    return sorted({round(i * (count - 1) / (POINTS - 1)) for i in range(POINTS)})


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Settings as name → text: `{"guards": [{"name": "revive", "tau": 0.1}]}` has a "revive tau" of 0.1."""
    said: dict[str, str] = {}
    for name, value in settings.items():
        if value is None or value == [] or value == {}:
            continue
        if name == "guards":
            said["guards"] = " + ".join(guard.get("name", "") for guard in value)
            for guard in value:
                said |= flat({k: v for k, v in guard.items() if k != "name"}, f"{guard.get('name', '')} ")
        elif isinstance(value, Mapping):
            said |= flat({k: v for k, v in value.items() if k != "name"}, f"{value.get('name', name)} ")
            said |= {prefix + name: str(value["name"])} if "name" in value else {}
        else:
            said[prefix + name] = text_of(value)
    return said


def facts_of(spec: Mapping[str, Any]) -> str:
    """The source of a run's facts, in a few words."""
    asked = spec.get("facts") or {}
    count = asked.get("count") or len(asked.get("items") or ())
    order = f", {asked['order']}" if asked.get("order", "given") != "given" else ""
    if asked.get("items") is not None:
        return f"{text.plural(count, 'fact')} in the run itself{order}"
    return f"{text.plural(count, 'fact')} of {asked.get('source')}, seed {asked.get('seed', 0)}{order}"


def notes(runs: Sequence[Run], lanes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Notes on the comparability of these scores."""
    said = []
    chosen = [{k: v for k, v in ((run.spec or {}).get("facts") or {}).items() if k != "unedited"} for run in runs]
    if any(facts != chosen[0] for facts in chosen[1:]):
        said.append(OTHER_FACTS)
    if len({(run.spec or {}).get("protocol", "sequential") for run in runs}) > 1:
        said.append(OTHER_PROTOCOL)
    edits = {lane["scores"]["edits"] for lane in lanes if "edits" in lane["scores"]}
    if len(edits) > 1:
        said.append(OTHER_COUNT)
    return said


def beware(runs: Sequence[Run], recipes: Sequence[Mapping[str, Resolved]]) -> list[str]:
    """Notes on further differences between lanes, over all runs."""
    asked: list[dict[str, Any]] = []
    known: dict[str, Recipe] = {}
    for run, found in zip(runs, recipes, strict=True):
        lanes = {lane["name"]: lane for lane in (run.spec or {}).get("lanes", ())}
        for label, (_, recipe) in found.items():
            if recipe is not None:
                name = label if len(runs) == 1 else f"{label} of {run.title}"
                asked.append({**lanes.get(label, {}), "name": name})
                known[name] = recipe
    return [f"{label}: {message}" for label, message in lane_notes(asked, known)]
