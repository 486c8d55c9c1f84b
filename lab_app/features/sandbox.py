"""Guard sandbox: what another guard would have left of a round that was edited, answered by the worker from the round's
stored factors; and the same guard as a lane of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from core.editing import guards
from core.errors import UserError
from lab_app.lab import Lab
from lab_app.parts import QUIET, Parts
from lab_app.widgets import widget

PATIENCE = 30.0  # seconds
LATER = "The worker is busy or starting; asking again."
LATER_ADDED = "The worker is busy or starting: the lane is added as soon as it comes to it."
TEMPLATE = """
<section class="sandbox" aria-labelledby="sandbox-title">
  <header><h2 id="sandbox-title">Guard sandbox</h2>
    <button type="button" data-do="open" aria-expanded="false" aria-controls="sandbox-body">Open</button></header>
  <p class="lead">What would another guard have taken from a round? Read off the update that the round asked for;
  nothing is edited until you add it as a lane.</p>
  <div class="card" id="sandbox-body" hidden>
    <div class="settings">
      <label><span>Lane</span><select class="lane"></select></label>
      <label><span>Guard</span><select class="guard"></select></label>
      <label class="dial"><span class="symbol">τ</span><input type="range"><output></output></label>
      <span class="at"></span></div>
    <p class="note" role="status" dir="auto"></p>
    <div class="findings">
      <figure class="taken"><figcaption>Share of ‖ΔW‖² that would go</figcaption>
        <p class="big"><b>–</b><span class="own"></span></p><div class="plot"></div></figure>
      <figure class="blocks"><figcaption>Where the update lies, and what stays of it</figcaption>
        <div class="square"></div><p class="k"></p></figure>
      <figure class="predicted"><figcaption>The round’s facts, just after it</figcaption>
        <table><thead><tr><th scope="col"></th><th scope="col">said</th><th scope="col">probability</th></tr></thead>
        <tbody></tbody></table><p class="k"></p></figure>
    </div>
    <details class="each"><summary>Fact by fact</summary><div class="scroll"></div></details>
    <div class="commit"><label><span>This guard as a lane,</span><select class="from"
      aria-label="Where the lane begins"></select></label>
      <button type="button" data-do="commit">Add the lane</button>
      <span class="added" role="status" dir="auto"></span></div>
    <details class="why"><summary>What is predicted, and what is not?</summary>
    <p>The ledger keeps each round’s update before the guards acted. A guard is applied to that, and the model wears
    W<sub>t−1</sub> + guarded ΔW while the round’s facts are asked: <em>said</em> is the share whose every token is
    the model’s arg-max, <em>probability</em> the mean over facts of the geometric mean per token. In a run, layers
    after the first would be asked for more where an earlier one gave less, and later rounds would follow another
    path: add the lane to see that. Dominant are the first k singular directions of the weight at τ; an update is
    split by its inputs and outputs, and REVIVE keeps what is rest on both sides.</p></details>
  </div>
</section>"""


def place(parts: Parts) -> None:
    parts.more["sandbox"] = widget("sandbox", {}, TEMPLATE, ["ask", "commit"], guards=offered(), added={})


def connect(parts: Parts) -> None:
    box, desk = parts.more["sandbox"], Desk(parts.lab)
    asks = {"concurrency_limit": None, **QUIET}
    box.ask(desk.ask, parts.run, box, trigger_mode="always_last", **asks)
    box.commit(desk.commit, parts.run, box, **asks)


def pages(parts: Parts) -> None:
    """None of its own."""


def offered() -> list[dict[str, Any]]:
    """The guards of a single update, with the dial that each is set by."""
    found = []
    for name in guards.names():
        config = guards.get(name)
        entry = guards.dial(config)
        if entry is not None and not getattr(config, "accumulated", False):
            low, high = guards.reach(entry)
            start = entry.default if entry.default is not None else 0.5
            symbol = "τ" if entry.name == "tau" else entry.name  # RECT's k would be read as the rank
            dial = {"field": entry.name, "symbol": symbol, "low": low, "high": high, "start": start}
            found.append({"name": name, "title": config.title, "help": entry.help, **dial})
    return sorted(found, key=lambda guard: guard["name"] != "revive")


class Desk:
    """The handlers."""

    def __init__(self, lab: Lab):
        self.lab = lab

    async def ask(self, run: str, event: gr.EventData) -> Any:
        """The worker's answer about a lane, a round and a guard; `number` tells the script which question it is of."""
        given = event._data
        payload = {name: given.get(name) for name in ("lane", "round", "guard")}
        return gr.update(value={"number": given.get("number"), **await self.answered(run, "sandbox", payload, LATER)})

    async def commit(self, run: str, event: gr.EventData) -> Any:
        """The guard as a new lane of the run: of the same method, from a round on or from where its lane began."""
        found = self.lab.store.get(run) if run else None
        if found is None or found.spec is None:
            return gr.update(added={"message": "This run is not here any more."})
        try:
            made = lane(found.spec, event._data)
        except UserError as error:
            return gr.update(added={"message": str(error)})
        answer = await self.answered(run, "add_lanes", {"lanes": [made]}, LATER_ADDED)
        return gr.update(added={"message": answer.get("message", ""), "lanes": answer.get("lanes", [])})

    async def answered(self, run: str, kind: str, payload: Mapping[str, Any], late: str) -> dict[str, Any]:
        """What the worker answers, or {"message"}."""
        if not run:
            return {"message": "No run is shown: start one, or open one of yours."}
        try:
            command = self.lab.store.command(run, kind, dict(payload))
        except UserError as error:
            return {"message": str(error)}
        async for _, found in self.lab.answers({kind: command}, PATIENCE):
            return found.answer or {}
        return {"message": late, "late": True}


def lane(spec: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """The lane of a run's spec that `asked` names, under another guard (null: none), branched before `asked["round"]`
    if there is one. Raises `UserError`."""
    own = next((entry for entry in spec["lanes"] if entry["name"] == asked.get("lane")), None)
    if own is None:
        raise UserError("This run has no such lane.")
    guard, round_ = asked.get("guard"), asked.get("round")
    made = {key: value for key, value in own.items() if key not in ("name", "guards")}
    if isinstance(guard, Mapping):
        made["guards"] = [dict(guard)]
    if isinstance(round_, int) and round_ > 1:
        made["from"] = {"lane": own["name"], "round": round_ - 1}
    return made
