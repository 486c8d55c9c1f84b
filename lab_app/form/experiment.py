"""The experiment form: from its values to a spec, and from a spec's problems to their fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.editing import guards, methods, priors, wrappers
from core.editing.lane.method import Method
from core.editing.recipe import defaults, named, refused
from core.editing.settings.defaults import Default, by_name
from core.editing.settings.parameters import Parameter, parameters
from core.errors import UserError
from core.facts.order import HIGH, LOW
from core.facts.readers.pocket import PocketWorld
from core.facts.typed import COLUMNS, source_of
from core.names import WORLDS
from core.runs.spec.lanes import LANE_FIELDS, label
from core.runs.spec.problems import SpecProblem
from lab_app.form.examples import completed

CHOICES = ("source", "subset", "order", "shuffle")  # of the table, besides its rows
FREELY = 30  # facts that are asked by free generation at every measured round
LEFT_ALONE = 200  # facts of the world that a run asks about and never edits
BEGINS = ("from", "without")  # where a lane begins, and the facts that it leaves out
PARTS = {"prior": priors, "wrapper": wrappers}
FITTED = ("layers", "steps", "lr", "clamp", "weight_decay", "lambda")  # differ between published settings
LANES: list[dict[str, Any]] = [
    {"method": "memit", "guard": ""},
    {"method": "memit", "guard": "revive", "tau": 0.1},
]


@dataclass
class Placed:
    """Problems by place: a row of facts, a lane, or a field by its name."""

    facts: list[dict[str, Any]] = field(default_factory=list)
    lanes: list[dict[str, Any]] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.facts or self.lanes or self.fields)


def catalogue(model: str = "pocket") -> dict[str, list[dict[str, Any]]]:
    """Methods, guards, priors and wrappers for the lanes: titles, and hyperparameters with their defaults on this model
    and the reasons. Defaults of other models are null until the worker has read the model's configuration."""
    return {
        "methods": [
            _offered(name, methods.get(name), known(model, name)) | refusals(methods.get(name))
            for name in methods.names()
        ],
        "guards": [_offered(name, guards.get(name), {}) for name in guards.names()],
        "priors": [_offered(name, priors.get(name), {}) for name in priors.names()],
        "wrappers": [_offered(name, wrappers.get(name), {}) for name in wrappers.names()],
    }


def refusals(method: type[Method]) -> dict[str, Any]:
    """Guards, priors and wrappers that do not go with a method, with the reason: `{"refuses": {"guards": {…}, …}}`."""
    refuses = {
        kind: {name: why for name in package.names() if (why := refused(package, name, method))}
        for kind, package in {"guards": guards, "priors": priors, "wrappers": wrappers}.items()
    }
    return {"refuses": {kind: found for kind, found in refuses.items() if found}}


def known(model: str, method: str) -> dict[str, Default]:
    """The settings for a model, if they follow from its name alone."""
    if (info := by_name(model)) is not None:
        return defaults(info, method)
    return dict.fromkeys(FITTED, Default(None, "chosen for the model when the run begins"))


def _offered(name: str, config: type, own: Mapping[str, Default]) -> dict[str, Any]:
    entries = parameters(config)
    tau = next((entry.default for entry in entries if entry.name == "tau"), None)
    fields = [_field(entry, own.get(entry.name)) for entry in entries if entry.name != "tau"]
    return {"name": name, "title": getattr(config, "title", name), "tau": tau, "fields": fields}


def _field(entry: Parameter, own: Default | None) -> dict[str, Any]:
    help = f"{entry.help} {own.value if own.value is not None else ''}: {own.reason}" if own else entry.help
    shown = {"name": entry.name, "symbol": entry.symbol, "help": help, "default": own.value if own else entry.default}
    shown |= {"offers": [[text_of(value), said] for value, said in entry.offers]} if entry.offers else {}
    return shown | ({"choices": list(entry.choices)} if entry.choices else {})


def rows_of(facts: Any) -> list[dict[str, Any]]:
    """The table's rows; the browser's data are checked."""
    rows = facts.get("rows") if isinstance(facts, Mapping) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def asked(table: Any, count: int, seed: int, world: PocketWorld | None) -> tuple[dict[str, Any], list[int]]:
    """The spec's `facts` from the page's table, `{"rows", "source", "subset", "order", "shuffle"}`, and the rows'
    places as `facts` has them. A dataset is edited alone: its first `count` records, as in the papers, or with
    `shuffle` the first of those mixed by the seed."""
    chosen = {name: str(table.get(name) or "") if isinstance(table, Mapping) else "" for name in CHOICES}
    wanted = chosen["order"] if chosen["order"] != "given" else ""
    order = {"likely" if wanted in (HIGH, LOW) else "order": wanted} if wanted else {}
    if chosen["source"] in ("", *WORLDS.values()):
        found, places = facts(rows_of(table), count, seed, world)
        if "likely" in order and "items" in found:
            raise UserError("only sampled facts are chosen by how sure the model is; take the typed rows out")
        return found | order, places
    if not count:
        raise UserError(f"no facts: say how many to sample from {chosen['source']}")
    subset = {"subset": chosen["subset"]} if chosen["subset"] else {}
    source = {"source": chosen["source"], **subset, "count": count, "seed": seed, "shuffle": bool(chosen["shuffle"])}
    return source | {"malformed": "skip", "unedited": LEFT_ALONE} | order, []


def spec(facts: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What Run sends: the facts as `asked`, and the other fields of the form by name; `round_size` and `seed` are whole
    numbers."""
    form = given.get("lanes") or {}
    measure: dict[str, Any] = {"tasks": bool(given.get("tasks")), "maps": "pca" if given.get("maps") else False}
    measure |= {"generated": FREELY} if given.get("free") else {}
    rounds, size, single = measured(str(given.get("measured") or "")), given["round_size"], given.get("single")
    if rounds:
        measure["rounds"] = rounds
    elif single:
        measure["every"] = size  # each fact is a round of its own: what else is a round says when to measure
    return {
        "model": str(given.get("model") or "").strip() or "pocket",
        "facts": facts,
        **({"protocol": "single"} if single else {}),
        "round_size": 1 if single else size,
        "lanes": lanes(form.get("lanes") or []),
        "measure": measure | asked_again(form),
        "seed": given["seed"],
    }


def measured(text: str) -> list[int]:
    """Rounds as typed, such as "1, 2, 5, 10" or "1-5, 10"; all of them for "". Raises `UserError`."""
    try:
        return sorted(set(layers(text))) if text.strip() else []
    except ValueError:
        raise UserError(f'measured rounds: "{text[:60]}" should be numbers, such as 1, 2, 5, 10; or nothing') from None


def asked_again(form: Any) -> dict[str, Any]:
    """The saved prompts to repeat at every measured round; nothing if there are none."""
    found = [str(prompt) for prompt in ((form or {}).get("probes") or [])]
    return {"probes": found} if found else {}


def facts(rows: Sequence[Any], count: int, seed: int, world: PocketWorld | None) -> tuple[dict[str, Any], list[int]]:
    """The spec's `facts`: typed rows, then `count` sampled ones; and from which row of the table each typed one came.

    Unedited facts of the world follow after `count`: a run tests them for side effects.
    Raises `UserError` if no facts are requested, or more than the world has.
    """
    typed, places = [], []
    for place, row in enumerate(rows, start=1):
        cells = _cells(row)
        if any(cells.get(name) for name in ("subject", "target", "truth")):
            typed.append(cells)
            places.append(place)
    if count and world is None:
        raise UserError("the pocket world is missing; set the number of sampled facts to 0")
    if not typed:
        if not count:
            raise UserError("no facts: type one above, or have some sampled")
        source = world.source if world is not None else "pocket"
        return {"source": source, "count": count, "seed": seed, "unedited": LEFT_ALONE}, places
    edit = completed(typed, world)
    if world is None or not count:
        return {"items": edit}, places
    taken = {str(row.get("subject", "")).strip() for row in typed}
    room = count + len(taken) + LEFT_ALONE
    most = len({row["subject"] for row in world.facts if not row["reserved"]})
    drawn = [fact for fact in world.sample(min(room, most), seed) if fact.subject not in taken]
    if len(drawn) < count:
        raise UserError(f"{count:,} facts requested, {world.named} has {len(drawn):,} others; request fewer")
    rest = [{**fact.as_dict(), "paraphrases": [], "neighborhood": [], "portability": []} for fact in drawn[count:]]
    items = edit + [_plain(fact.as_dict()) for fact in drawn[:count]] + [_plain(row) for row in rest[:LEFT_ALONE]]
    return {"items": items, "count": len(edit) + count, "unedited": LEFT_ALONE}, places


def _cells(row: Any) -> dict[str, Any]:
    """The valid cells of a row of the table: known columns, with text or lists."""
    if not isinstance(row, Mapping):
        return {}
    cells = {name: row[name] for name in COLUMNS if row.get(name) not in (None, "", [])}
    source = source_of(row)  # of an uploaded data set; what is sampled comes by itself
    return cells | ({"source": source} if cells and source not in ("", *WORLDS.values()) else {})


def _plain(fact: dict[str, Any]) -> dict[str, Any]:
    """A sampled fact as a row of the spec; its `source` tells it from typed ones when the form is filled again."""
    return {name: value for name, value in fact.items() if name in (*COLUMNS, "source") and value not in ((), [], "")}


def lanes(chosen: Sequence[Any]) -> list[dict[str, Any]]:
    """The spec's `lanes`. Hyperparameters come as text; one that cannot be read stays text and becomes a problem."""
    return [lane(found) for found in chosen if isinstance(found, Mapping)]


def lane(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """One lane of the spec."""
    method = str(chosen.get("method") or "memit")
    made: dict[str, Any] = {"method": method}
    if name := str(chosen.get("name") or "").strip():
        made["name"] = name
    if method in methods.names():
        made |= read(methods.get(method), chosen.get("options"))
    for part, package in PARTS.items():
        if name := str(chosen.get(part) or ""):
            own = read(package.get(name), chosen.get(f"{part}_options")) if name in package.names() else {}
            made[part] = {"name": name, **own} if own else name
    made |= {part: chosen[part] for part in BEGINS if chosen.get(part)}
    if guard := str(chosen.get("guard") or ""):
        made["guards"] = [{"name": guard}]
        if guard in guards.names():
            made["guards"][0] |= read(guards.get(guard), chosen.get("guard_options"))
        if chosen.get("tau") is not None:
            made["guards"][0]["tau"] = chosen["tau"]
    if isinstance(then := chosen.get("then"), list) and then:
        made["guards"] = [*made.get("guards", []), *(guard_after(entry) for entry in then)]
    return made


def guard_after(chosen: Any) -> dict[str, Any]:
    """A guard that follows the first, `{"name", …}`: what was typed of its hyperparameters is read."""
    given = dict(chosen) if isinstance(chosen, Mapping) else {}
    name = str(given.pop("name", ""))
    return {"name": name, **(read(guards.get(name), given) if name in guards.names() else given)}


def read(config: type, given: Any) -> dict[str, Any]:
    """The hyperparameters of a method or guard from the typed values; empty ones are left out."""
    known = {entry.name: entry for entry in parameters(config)}
    typed = given if isinstance(given, Mapping) else {}
    return {name: value(known[name], text) for name, text in typed.items() if name in known and str(text).strip()}


def form(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse: the values of the form's fields for a spec, by name."""
    asked = spec["facts"]
    items = (asked.get("items") or [])[: asked.get("count")]
    typed = [row for row in items if row.get("source") not in WORLDS.values()]
    count = asked.get("count") or 0 if asked.get("source") else len(items) - len(typed)
    single = spec.get("protocol") == "single"
    return {
        "facts": {"rows": typed, **{name: asked.get(name) or "" for name in CHOICES}}
        | ({"order": asked["likely"]} if asked.get("likely") else {}),
        "count": count,
        "seed": asked.get("seed", 0) if asked.get("source") else spec.get("seed", 0),
        "lanes": {"lanes": [shown(made) for made in spec["lanes"]], "probes": spec["measure"].get("probes") or []},
        "model": spec["model"],
        "round_size": max(spec["round_size"], spec["measure"]["every"]) if single else spec["round_size"],
        "single": single,
        "measured": text_of(spec["measure"].get("rounds") or []),
        "free": spec["measure"].get("generated") != 0,
        "tasks": bool(spec["measure"]["tasks"]),
        "maps": bool(spec["measure"]["maps"]),
    }


def shown(made: Mapping[str, Any]) -> dict[str, Any]:
    """A lane of a spec in the form's format: the first guard with its τ, further guards unchanged."""
    guard, *then = made.get("guards") or [{}]
    parts = {part: entry["name"] for part in PARTS if (entry := named(made.get(part)))}
    parts |= {"then": [{name: text_of(value) for name, value in one.items()} for one in then]} if then else {}
    parts |= {part: made[part] for part in BEGINS if made.get(part)}
    options = {
        "options": {name: text_of(value) for name, value in made.items() if name not in LANE_FIELDS},
        "guard_options": {name: text_of(value) for name, value in guard.items() if name not in ("name", "tau")},
    } | {
        f"{part}_options": {name: text_of(value) for name, value in entry.items() if name != "name"}
        for part in PARTS
        if isinstance(entry := made.get(part), Mapping)
    }
    name = "" if made.get("name") in (None, label(made)) else made["name"]
    lane = {"method": made["method"], "guard": guard.get("name", ""), "tau": guard.get("tau"), "name": name}
    return lane | parts | {key: given for key, given in options.items() if given}


def text_of(value: Any) -> str:
    """A hyperparameter as it would be typed."""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def value(entry: Parameter, text: Any) -> Any:
    """A hyperparameter from typed text: numbers, yes or no, layers as "4, 5, 6" or "4-8"."""
    text = str(text).strip()
    try:
        if entry.kind == "layers":
            return layers(text)
        if entry.kind == "bool":
            return {"true": True, "false": False}.get(text.lower(), text)
        if entry.kind == "int":
            return int(text.replace(",", ""))
        if entry.kind == "float":
            return float(text.replace(",", "."))
    except ValueError:
        return text
    return text


def layers(text: str) -> list[int]:
    """Layer numbers, ranges included.

    >>> layers("1, 4-6")
    [1, 4, 5, 6]
    """
    numbers: list[int] = []
    for part in text.replace("–", "-").split(","):
        first, dash, last = part.partition("-")
        numbers += range(int(first), int(last) + 1) if dash else [int(first)]
    return numbers


def placed(problems: Sequence[SpecProblem], places: Sequence[int]) -> Placed:
    """A spec's problems by their place on the page. `places`: the table's row of each typed fact."""
    found = Placed()
    for problem in problems:
        head, _, rest = problem.where.partition(".")
        if problem.where.startswith("facts.items["):
            number = int(rest.partition("[")[2].partition("]")[0])
            column = rest.partition("].")[2]
            row = places[number] if number < len(places) else 0
            found.facts.append({"row": row, "column": column, "message": problem.message})
        elif problem.where.startswith("lanes["):
            number = int(head.partition("[")[2].partition("]")[0])
            last = problem.where.rpartition(".")[2]
            message = problem.message if problem.message.startswith(last) else f"{last}: {problem.message}"
            found.lanes.append({"lane": number, "message": message})
        else:
            found.fields[head or "run"] = problem.message
    return found
