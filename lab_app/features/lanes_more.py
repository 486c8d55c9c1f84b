"""More lanes for an existing run: from the experiment's form, from a round of another lane, or with an edit undone by
replaying its round without it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from core.errors import UserError
from core.facts.fact import Fact
from core.facts.source import FactsSpec, load_facts
from core.runs.spec.lanes import LONGEST_NAME
from core.runs.spec.left_out import left_out
from core.runs.spec.plan import Plan
from core.runs.spec.problems import SpecError
from core.runs.store.store import Run
from lab_app.form import experiment
from lab_app.handlers.actions import told
from lab_app.handlers.adding import NO_RUN, add, sentence
from lab_app.handlers.parts import QUIET, Parts
from lab_app.lab import Lab
from lab_app.markup import text
from lab_app.markup.widgets import widget

MOST_FACTS = 400  # of a round, listed to choose from
HERE = (None, "pocket", "everyday")  # sources of facts that the page can read by itself
AT_ONCE = 8
TEMPLATE = """
<dialog class="branch" aria-labelledby="branch-title">
  <header><h2 id="branch-title">Branch a lane</h2>
    <button type="button" data-do="close" aria-label="Close">×</button></header>
  <div class="switch" role="group" aria-label="What to do">
    <button type="button" data-mode="recipe" aria-pressed="true">Continue with another recipe</button>
    <button type="button" data-mode="undo" aria-pressed="false">Undo facts of a round</button></div>
  <div class="where"><label><span>Lane</span><select class="lane" dir="auto"></select></label>
    <label><span class="round-says">after round</span><select class="round"></select></label></div>
  <p class="lead"></p>
  <div class="recipe lanes-form"></div>
  <fieldset class="chosen-facts" hidden><legend>Facts of this round</legend>
    <input type="search" dir="auto" aria-label="Find a fact" placeholder="Find a fact">
    <div class="scroll" tabindex="0"></div></fieldset>
  <p class="note" role="status" dir="auto"></p>
  <div class="ends"><button type="button" data-do="close">Cancel</button>
    <button type="button" class="main" data-do="add">Add the lane</button></div>
</dialog>"""


def place(parts: Parts) -> None:
    with parts.form["controls"]:
        parts.more["add_lanes"] = gr.Button("Add to this run", elem_id="add-lanes", min_width=120)
    parts.more["branch"] = widget("branch", {}, TEMPLATE, ["facts", "branch"], facts={}, told={})


def connect(parts: Parts) -> None:
    desk, lanes, box = Desk(parts.lab), parts.form["lanes"], parts.more["branch"]
    at_once = {"concurrency_limit": AT_ONCE, **QUIET}
    for changed in (parts.run.change, lanes.has):
        changed(desk.has, parts.run, lanes, **at_once)
    parts.more["add_lanes"].click(desk.add, [parts.run, lanes], [lanes, parts.form["problem"]], **at_once)
    box.facts(desk.facts, parts.run, box, trigger_mode="multiple", **at_once)
    box.branch(desk.branch, parts.run, box, **at_once)


def pages(parts: Parts) -> None:
    """None of its own."""


class Desk:
    """The handlers. Caches the facts of the last requested run."""

    def __init__(self, lab: Lab):
        self.lab = lab
        self._facts: tuple[str, list[Fact]] = ("", [])

    def has(self, run: str) -> Any:
        """The lanes of the open run, in the form's format."""
        found = self.lab.store.get(run) if run else None
        lanes = (found.spec or {})["lanes"] if found is not None else []
        return gr.update(has=[experiment.shown(lane) for lane in lanes])

    async def add(self, run: str, form: Any, request: gr.Request) -> tuple[Any, str]:
        """Add the form's new lanes to the run; problems are shown at their lanes."""
        found = self.lab.store.get(run) if run else None
        chosen = list((form or {}).get("lanes") or []) if isinstance(form, Mapping) else []
        places = missing(chosen, (found.spec or {})["lanes"] if found is not None else [])
        try:
            if not places:
                raise UserError("this run already has all these lanes: change one, or add another" if found else NO_RUN)
            lanes = [experiment.lane(chosen[place]) for place in places]
            answer = await add(self.lab, found, lanes, self.lab.offer(request))
        except SpecError as error:
            placed = experiment.placed(error.problems, ())
            at = [item | {"lane": places[item["lane"]]} for item in placed.lanes]
            return told(at), " ".join(placed.fields.values())
        except UserError as error:
            return told(), sentence(str(error))
        has = (self.has(run) or {}).get("has", [])
        return told(has=has), answer["message"]

    async def facts(self, run: str, event: gr.EventData) -> Any:
        """The facts of a round, to choose from: as `{"fact", "text", "target", "truth"}`, or only their numbers if
        the page cannot read them."""
        found, number = self.lab.store.get(run) if run else None, event._data.get("round")
        if found is None or found.spec is None or not isinstance(number, int):
            return gr.update(facts={"message": NO_RUN})
        try:
            listed = await asyncio.to_thread(self.listed, found, number)
        except UserError as error:
            return gr.update(facts={"round": number, "message": sentence(str(error))})
        return gr.update(facts={"round": number, "run": run, "facts": listed})

    def listed(self, run: Run, number: int) -> list[dict[str, Any]]:
        """The facts of one round, including those that were left out before."""
        spec, facts = run.spec or {}, self._all(run)
        count = len(facts) or spec["facts"].get("count") or number * spec["round_size"]
        chosen = Plan(count, spec["round_size"]).edited_in(number)[:MOST_FACTS]
        return [{"fact": index} | (shown(facts[index]) if facts else {}) for index in chosen]

    def _all(self, run: Run) -> list[Fact]:
        asked = (run.spec or {})["facts"]
        if asked.get("source") not in HERE or FactsSpec(**asked).rated:  # which they are is known to the worker alone
            return []
        if self._facts[0] != run.id:
            self._facts = (run.id, list(load_facts(FactsSpec(**asked), self.lab.assets).edit))
        return self._facts[1]

    async def branch(self, run: str, event: gr.EventData, request: gr.Request) -> Any:
        """A lane from a round of another lane: with the recipe in `lane` or, given `without`, with the same recipe."""
        given, found = event._data, self.lab.store.get(run) if run else None
        try:
            if found is None or found.spec is None:
                raise UserError(NO_RUN)
            if given.get("without"):
                facts = await asyncio.to_thread(self._all, found)
                made = undone(found.spec, str(given.get("parent")), given.get("round"), given["without"], facts)
            else:
                made = branched(found.spec, str(given.get("parent")), given.get("round"), given.get("lane"))
            answer = await add(self.lab, found, [made], self.lab.offer(request))
        except SpecError as error:
            return gr.update(told={"message": " ".join(sentence(found.message) for found in error.problems)})
        except UserError as error:
            return gr.update(told={"message": sentence(str(error))})
        return gr.update(told={"added": answer["lanes"], "message": answer["message"]})


def missing(chosen: Sequence[Any], has: Sequence[Mapping[str, Any]]) -> list[int]:
    """Indices of the form's lanes that a run does not have: no lane of the run has the same recipe, regardless of
    names."""
    known = [recipe(experiment.shown(lane)) for lane in has]
    return [place for place, lane in enumerate(chosen) if isinstance(lane, Mapping) and recipe(lane) not in known]


def recipe(lane: Mapping[str, Any]) -> dict[str, Any]:
    """A lane of the form in the format of a spec, without its name."""
    return {key: value for key, value in experiment.lane(lane).items() if key != "name"}


def branched(spec: Mapping[str, Any], parent: str, round_: Any, lane: Any) -> dict[str, Any]:
    """A lane of the form that starts from the state of `parent` after a round. Raises `UserError`."""
    of_lane(spec, parent)
    if not isinstance(round_, int) or not isinstance(lane, Mapping):
        raise UserError("choose a round to branch after, and a recipe")
    made = {key: value for key, value in experiment.lane(lane).items() if key not in ("from", "without")}
    return made | {"from": {"lane": parent, "round": round_}}


def undone(
    spec: Mapping[str, Any], parent: str, round_: Any, without: Any, facts: Sequence[Fact] = ()
) -> dict[str, Any]:
    """The lane `parent` with its round `round_` replayed without some of its facts, followed by all later rounds. Facts
    that it already leaves out stay left out. Raises `UserError`."""
    lane, size = of_lane(spec, parent), spec["round_size"]
    begins = (lane.get("from") or {}).get("round", 0)
    if not isinstance(round_, int) or round_ < 1:
        raise UserError("choose a round that was edited")
    if round_ <= begins:
        raise UserError(f'round {round_} was made by "{lane["from"]["lane"]}", before {parent} began: undo it there')
    wanted = sorted({index for index in without if type(index) is int}) if isinstance(without, list) else []
    if not wanted or any(index // size != round_ - 1 for index in wanted):
        raise UserError(f"choose facts of round {round_}")
    kept = [index for index in left_out(spec["lanes"], size)[parent] if index // size >= round_ - 1]
    made = {key: value for key, value in lane.items() if key not in ("name", "from", "without")}
    made["without"] = sorted({*kept, *wanted})
    if round_ > 1:
        made["from"] = {"lane": parent, "round": round_ - 1}
    name = f"{parent} {without_what(wanted, round_, facts)}"[:LONGEST_NAME]
    taken = [entry["name"] for entry in spec["lanes"]]
    return made if name in taken else made | {"name": name}


def without_what(wanted: Sequence[int], round_: int, facts: Sequence[Fact]) -> str:
    """What a lane leaves out, as a part of its name."""
    if len(wanted) == 1 and wanted[0] < len(facts):
        return f"without “{facts[wanted[0]].subject}”"
    return f"without {text.plural(len(wanted), 'fact')} of round {round_}"


def of_lane(spec: Mapping[str, Any], label: str) -> Mapping[str, Any]:
    """The lane of that label; raises `UserError`."""
    found = next((lane for lane in spec["lanes"] if lane["name"] == label), None)
    if found is None:
        raise UserError("this run has no such lane")
    return found


def shown(fact: Fact) -> dict[str, Any]:
    """A fact as shown in the list."""
    return {"text": fact.text[:200], "target": fact.target[:100], "truth": (fact.truth or "")[:100]}
