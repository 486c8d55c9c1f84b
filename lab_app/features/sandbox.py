"""Guard sandbox: what another guard would keep of a round's update. The worker answers from the round's stored factors,
or computes the next round first. The guard can be added as a lane."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import gradio as gr

from core.charts.grammar import Chart
from core.editing import guards
from core.errors import UserError
from core.runs.spec.plan import Past
from lab_app.handlers.adding import check
from lab_app.handlers.asking import followed, further, give_up
from lab_app.handlers.parts import QUIET, Parts
from lab_app.lab import Lab
from lab_app.markup.widgets import widget

PATIENCE, PATIENCE_AHEAD = 30.0, 600.0  # seconds without news; of a round ahead, in which a step may take minutes
NEXT = "next"  # in the place of a round: the one that is edited next
NO_RUN = "No run is open. Start one, or open one of yours."
LATER = "The worker is busy or starting. Retrying."
LATER_ADDED = "The worker is busy or starting. The lane is queued."
CURVE = Chart(
    table="curve",
    kind="line",
    x="x",
    y="removed",
    title="Share of ‖ΔW‖² removed",
    x_title="",
    y_title="share of ‖ΔW‖²",
    unit="share",
)
TEMPLATE = """
<section class="sandbox" aria-labelledby="sandbox-title">
  <header><h2 id="sandbox-title">Guard sandbox</h2>
    <button type="button" data-do="open" aria-expanded="false" aria-controls="sandbox-body">Open</button></header>
  <p class="lead">What would another guard remove from a round's update? Choose an edited round or, while a run is
  paused, the next one. Nothing is edited until you add the guard as a lane.</p>
  <div class="card" id="sandbox-body" hidden>
    <div class="settings">
      <label><span>Lane</span><select class="lane"></select></label>
      <label><span>Guard</span><select class="guard"></select></label>
      <label class="dial"><span class="symbol">τ</span><input type="range"><output></output></label>
      <span class="switch which" role="group" aria-label="Round">
        <button type="button" class="at" aria-pressed="true">This round</button>
        <button type="button" class="next" aria-pressed="false">Next round</button></span></div>
    <p class="note" role="status" dir="auto"></p>
    <div class="ahead" hidden><p role="status" dir="auto"></p>
      <button type="button" data-do="stop" disabled>Stop</button>
      <div class="bar" role="progressbar" aria-label="Progress of the round"><i></i></div></div>
    <div class="findings">
      <figure class="taken"><figcaption>Share of ‖ΔW‖² removed</figcaption>
        <p class="big"><b>–</b><span class="own"></span></p><div class="plot"></div></figure>
      <figure class="blocks"><figcaption>Where the update lies, and what is kept</figcaption>
        <div class="square"></div><p class="k"></p></figure>
      <figure class="predicted"><figcaption>The round’s facts, right after it</figcaption>
        <table><thead><tr><th scope="col"></th><th scope="col">exact</th><th scope="col">probability</th></tr></thead>
        <tbody></tbody></table><p class="k"></p></figure>
    </div>
    <details class="each"><summary>Fact by fact</summary><div class="scroll"></div></details>
    <div class="commit"><label><span>This guard as a lane,</span><select class="from"
      aria-label="Where the lane begins"></select></label>
      <button type="button" data-do="commit">Add the lane</button>
      <span class="added" role="status" dir="auto"></span></div>
    <details class="why"><summary>What is predicted, and what is not?</summary>
    <p>The ledger stores each round’s update before the guards. The guard is applied to it, and the round’s facts are
    tested on W<sub>t−1</sub> + guarded ΔW. <em>Exact</em> is the share of facts for which every token is the model’s
    arg-max; <em>probability</em> is the mean over facts of the geometric mean per token. In a real run, later layers
    would make up for what the guard removes from earlier ones, and later rounds would take another path: add the lane
    to see that. The next round of a paused run is computed exactly as the run will compute it, and is not stored. The
    first k singular directions of the weight at τ are called dominant. An update is split by inputs and outputs;
    REVIVE keeps what is non-dominant on both sides.</p></details>
  </div>
</section>"""


def place(parts: Parts) -> None:
    parts.more["sandbox"] = widget(
        "sandbox", {}, TEMPLATE, ["ask", "commit", "stop"], guards=offered(), added={}, chart=CURVE.as_dict()
    )


def connect(parts: Parts) -> None:
    box, desk = parts.more["sandbox"], Desk(parts.lab)
    asks = {"concurrency_limit": None, **QUIET}
    # Not "always_last": a question that comes while another is open would be asked with that one's data again.
    box.ask(desk.ask, parts.run, box, trigger_mode="multiple", **asks)
    box.commit(desk.commit, parts.run, box, **asks)
    box.stop(desk.stop, parts.run, box, **asks)


def pages(parts: Parts) -> None:
    """None of its own."""


def offered() -> list[dict[str, Any]]:
    """The guards that act on a single update, with the parameter of each one's dial."""
    found = []
    for name in guards.names():
        config = guards.get(name)
        entry = guards.dial(config)
        if entry is not None and config.when != guards.ACCUMULATED:
            low, high = guards.reach(entry)
            start = entry.default if entry.default is not None else 0.5
            symbol = "τ" if entry.name == "tau" else entry.name  # RECT's k would be read as the rank
            dial = {"field": entry.name, "symbol": symbol, "low": low, "high": high, "start": start}
            found.append({"name": name, "title": config.title, "help": entry.help, **dial})
    return sorted(found, key=lambda guard: guard["name"] != "revive")


class Desk:
    """The handlers. `open`: the waiting questions, by command: (page, run, subject)."""

    def __init__(self, lab: Lab):
        self.lab = lab
        self.open: dict[int, tuple[str, str, dict[str, Any]]] = {}

    async def ask(self, run: str, event: gr.EventData, request: gr.Request) -> AsyncIterator[Any]:
        """The worker's answer about a lane, a round (or `NEXT`) and a guard, preceded by the progress of a round that
        is computed for it. `number` identifies the question. Earlier questions of the page are given up, except for
        those that compute the same round."""
        given, page = event._data, str(request.session_hash)
        payload = {name: given.get(name) for name in ("lane", "round", "guard")}
        number, about = given.get("number"), {name: payload[name] for name in ("lane", "round")}
        try:
            if not run:
                raise UserError(NO_RUN)
            for earlier, (of, its, place) in list(self.open.items()):
                if of == page and not (its == run and place == about and about["round"] == NEXT):
                    await asyncio.to_thread(give_up, self.lab, its, "sandbox", earlier)
            command = await asyncio.to_thread(self.lab.store.command, run, "sandbox", payload)
        except UserError as error:
            yield gr.update(value={"number": number, "message": str(error)})
            return
        self.open[command] = page, run, about
        try:
            async for value in self._followed(run, command, about):
                yield gr.update(value={"number": number, **value})
        finally:
            del self.open[command]

    async def _followed(self, run: str, command: int, about: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """The progress of a question, and its answer."""
        patience = PATIENCE_AHEAD if about["round"] == NEXT else PATIENCE
        async for found in followed(self.lab, command, patience):
            if found.state != "waiting":
                yield found.answer or {}
                return
            yield {"command": command, "about": about, **further(found)}
        await asyncio.to_thread(give_up, self.lab, run, "sandbox", command)  # the page asks anew
        yield {"message": LATER, "late": True}

    async def stop(self, run: str, event: gr.EventData) -> Any:
        """Stop the computation of a round; everyone who waits for it is told."""
        await asyncio.to_thread(give_up, self.lab, run, "sandbox", event._data.get("command"))
        return gr.skip()

    async def commit(self, run: str, event: gr.EventData, request: gr.Request) -> Any:
        """Add the guard as a new lane: with the same method, from a round on or from the start of its lane."""
        found = self.lab.store.get(run) if run else None
        if found is None or found.spec is None:
            return gr.update(added={"message": "This run no longer exists."})
        try:
            made = lane(found.spec, self.placed(run, event._data))
            check(self.lab, found, [made], self.lab.offer(request))
        except UserError as error:
            return gr.update(added={"message": str(error)})
        answer = await self.answered(run, "add_lanes", {"lanes": [made]}, LATER_ADDED)
        return gr.update(added={"message": answer.get("message", ""), "lanes": answer.get("lanes", [])})

    def placed(self, run: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The question, with `NEXT` replaced by the number of the next round."""
        if asked.get("round") != NEXT:
            return dict(asked)
        past = Past(event for _, event in self.lab.store.events(run))
        return {**asked, "round": past.last_edit(str(asked.get("lane"))) + 1}

    async def answered(self, run: str, kind: str, payload: Mapping[str, Any], late: str) -> dict[str, Any]:
        """The worker's answer, or {"message"}."""
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
