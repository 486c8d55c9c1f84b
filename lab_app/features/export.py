"""Export: the run that is shown, or one of its lanes at a round, as a file. The worker makes it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import gradio as gr

from core.errors import UserError
from core.runs.export.offered import KEPT, LARGEST_FIGURES, drop_figures, keep_figures, offered
from core.runs.export.options import DTYPES, KINDS, OF_A_RUN
from core.runs.spec.admission import Offer, in_spec
from core.runs.spec.run_spec import MOST_ROWS, RunSpec
from core.runs.store.commands import WITHDRAWN
from core.runs.store.store import Run
from lab_app.handlers.asking import followed, further, give_up
from lab_app.handlers.parts import QUIET, Parts
from lab_app.lab import Lab
from lab_app.markup import text
from lab_app.markup.widgets import widget
from lab_app.server.downloads import address

PATIENCE = 900.0  # seconds without news that a page waits for a file: a large model takes minutes to be written
NUMBER = re.compile(r"\d{1,9}(\.\d{1,9})?([eE]-?\d{1,3})?")
LATER = "The worker is busy. The file will be listed below when it is ready; open this again later."
ASKING = "Waiting for the worker…"
TEMPLATE = """
<dialog class="sheet export" aria-labelledby="export-title">
  <header><h2 id="export-title">Export</h2>
    <button type="button" data-do="close" class="close" aria-label="Close">×</button></header>
  <form>
    <fieldset><legend>The whole run</legend>
      <label class="kind"><input type="radio" name="kind" value="zip" checked>
        <span><b>Zip</b> with its spec, tables, events and versions</span></label>
      <div class="options" data-of="zip">
        <label><input type="checkbox" name="figures" checked> with the figures as drawn here (SVG)</label>
        <label><input type="checkbox" name="ledger"> with the ledger: every round’s update, as safetensors</label></div>
      <label class="kind"><input type="radio" name="kind" value="snippet">
        <span><b>Python file</b> that repeats the run without the page</span></label>
    </fieldset>
    <fieldset><legend>A lane’s weights</legend>
      <div class="where"><label>Lane <select name="lane"></select></label>
        <label>after round <select name="round"></select></label></div>
      <label class="kind"><input type="radio" name="kind" value="lora">
        <span><b>LoRA adapter</b> for peft: only ΔW, on the base model</span></label>
      <div class="options" data-of="lora">
        <label>columns per layer <select name="cut"><option value="">all: exact</option>
          <option value="rank">at most</option><option value="error">minimum for an error of at most</option></select>
        </label><input type="text" name="number" inputmode="decimal"
          aria-label="Number of columns, or error" hidden>
        <label>as <select name="dtype"></select></label></div>
      <label class="kind"><input type="radio" name="kind" value="factors">
        <span><b>Factors</b> of ΔW (safetensors), exact</span></label>
      <label class="kind"><input type="radio" name="kind" value="model">
        <span><b>Whole model</b> with its tokenizer, as <code>save_pretrained</code> writes it, zipped</span></label>
    </fieldset>
    <div class="go"><button type="submit" class="main">Make the file</button>
      <button type="button" data-do="stop" hidden>Stop</button>
      <p class="note" role="status" dir="auto"></p>
      <div class="bar" role="progressbar" aria-label="Progress of the export" hidden><i></i></div></div>
  </form>
  <section class="made" aria-label="Exported files"></section>
</dialog>"""


def place(parts: Parts) -> None:
    parts.more["export"] = widget("export", {"run": ""}, TEMPLATE, ["look", "make", "stop"], types=DTYPES)


def connect(parts: Parts) -> None:
    box, desk = parts.more["export"], Exports(parts.lab, tuple(parts.panels))
    asks = {"concurrency_limit": None, "trigger_mode": "multiple", **QUIET}
    box.look(desk.look, parts.run, box, **asks)
    box.make(desk.make, parts.run, box, **asks)
    box.stop(desk.stop, parts.run, box, **asks)


def pages(parts: Parts) -> None:
    """None of its own."""


class Exports:
    """The handlers. `panels`: the allowed names of figures. `following`: the exports that each open page follows."""

    def __init__(self, lab: Lab, panels: tuple[str, ...]):
        self.lab, self.panels = lab, panels
        self.following: set[tuple[str, int]] = set()

    async def look(self, run: str, request: gr.Request) -> AsyncIterator[Any]:
        """The stored exports of this run, and the progress of a running export."""
        going = await asyncio.to_thread(self.lab.store.commands.waiting, run, "export") if run else []
        if not going:
            yield await asyncio.to_thread(self.standing, run)
            return
        async for value in self.followed(run, going[0].id, request):
            yield value

    async def make(self, run: str, event: gr.EventData, request: gr.Request) -> AsyncIterator[Any]:
        """Export a file on request; the last value says where it is and what it is."""
        try:
            found = await asyncio.to_thread(self.lab.store.get, run) if run else None
            if found is None:
                raise UserError("open a run first: there is nothing to export")
            payload = await asyncio.to_thread(self.payload, found, event._data)
            to_take(self.lab.offer(request), found, payload["kind"])
            command = await asyncio.to_thread(self.lab.store.command, run, "export", payload)
        except UserError as error:
            yield await asyncio.to_thread(self.standing, run, message=text.sentence(str(error)), wrong=True)
            return
        async for value in self.followed(run, command, request):
            yield value

    async def stop(self, run: str, event: gr.EventData) -> Any:
        """Stop an export that is waiting or running."""
        return await asyncio.to_thread(self._stopped, run, event._data.get("command"))

    def _stopped(self, run: str, command: Any) -> Any:
        try:
            given_up, found = give_up(self.lab, run, "export", command), self.lab.store.get(run, spec=False)
        except UserError as error:
            return self.standing(run, message=text.sentence(str(error)), wrong=True)
        if given_up is None or found is None:
            return gr.skip()  # it is made, or was stopped elsewhere: whoever follows it says so
        drop_figures(found, given_up.payload)
        return self.standing(run, message=WITHDRAWN)

    async def followed(self, run: str, command: int, request: gr.Request) -> AsyncIterator[Any]:
        """What the page shows during an export and after it; once on each page."""
        me = (str(request.session_hash), command)
        if me in self.following:
            return
        self.following.add(me)
        busy: dict[str, Any] = {"busy": True, "command": command}
        last = None
        try:
            yield await asyncio.to_thread(self.standing, run, message=ASKING, **busy)
            async for last in followed(self.lab, command, PATIENCE):
                if last.state == "waiting" and last.progress:
                    at = further(last)
                    told = {"message": at["doing"], "part": at["part"]}
                    yield await asyncio.to_thread(self.standing, run, **told, **busy)
        finally:
            self.following.discard(me)
        if last is None or last.state == "waiting":
            yield await asyncio.to_thread(self.standing, run, message=LATER)
        elif last.state == "failed":
            message, wrong = text.sentence(str(last.answer["message"])), not last.answer.get("withdrawn")
            yield await asyncio.to_thread(self.standing, run, message=message, wrong=wrong)
        else:
            yield await asyncio.to_thread(self.standing, run, made=last.answer)

    def payload(self, run: Run, given: Mapping[str, Any]) -> dict[str, Any]:
        """The command for the worker. Only known options of the browser's request are passed on."""
        kind = str(given.get("kind", ""))
        if kind not in KINDS:
            raise UserError("choose what to export")
        if (waiting := len(self.lab.store.commands.waiting(run.id, "export"))) >= KEPT:
            raise UserError(f"{waiting} exports of this run are waiting already. Wait until they are done")
        options = options_of(kind, given)
        if kind not in OF_A_RUN:
            return {"kind": kind, "lane": given.get("lane"), "round": given.get("round"), "options": options}
        pictures = drawn(given.get("pictures"), self.panels) if kind == "zip" else {}
        figures = keep_figures(run, pictures) if pictures else ""
        return {"kind": kind, "options": options, "figures": figures}

    def standing(self, run: str, made: Mapping[str, Any] | None = None, **told: Any) -> dict[str, Any]:
        """What the page shows: stored files, newest first, the latest one with its details."""
        found = self.lab.store.get(run, spec=False) if run else None
        files = [
            {"name": file["name"], "says": text.size(file["bytes"]), "made": file["made"]}
            | {"address": address(run, file["name"]).removeprefix("/")}
            for file in (offered(found) if found is not None else ())
        ]
        value = {"run": run, "files": files, **told}
        return value | ({"made": made["name"], "layers": layers_of(made.get("about") or {})} if made else {})


def to_take(offer: Offer, run: Run, kind: str) -> None:
    """Raises `UserError` if a whole model would be given to somebody to whom it is not offered: a run's address allows
    to see its edits, not to download the model."""
    if kind == "model":
        model = [one for one in in_spec(RunSpec.from_dict(run.spec, MOST_ROWS)) if one.where == "model"]
        offer.admit(model)


def options_of(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of an export from a form: `cut` says what `number` means. Raises `UserError`."""
    if kind == "zip":
        return {"ledger": bool(given.get("ledger"))}
    if kind != "lora":
        return {}
    options: dict[str, Any] = {"dtype": str(given.get("dtype") or DTYPES[0])}
    typed, cut = str(given.get("number") or "").strip().replace(",", "."), given.get("cut")
    if cut in ("rank", "error"):
        if not NUMBER.fullmatch(typed):
            example = "8" if cut == "rank" else "0.05"
            raise UserError(f"type a number, for example {example}, or choose “all: exact”")
        number = float(typed)
        options[cut] = int(number) if cut == "rank" and number.is_integer() else number
    return options


def drawn(pictures: Any, names: tuple[str, ...]) -> dict[str, bytes]:
    """The figures that a page sent, by file name: SVG of existing panels, of limited size."""
    if not isinstance(pictures, Mapping):
        return {}
    found = {
        f"{name}.svg": str(pictures[name]).encode()
        for name in names
        if str(pictures.get(name, "")).lstrip().startswith("<svg")
    }
    return found if sum(map(len, found.values())) <= LARGEST_FIGURES else {}


def layers_of(about: Mapping[str, Any]) -> dict[str, Any] | None:
    """Details of exported weights: columns and error of each layer, and whether they equal the run's."""
    if not about:
        return None
    layers = [{name: layer[name] for name in ("layer", "rank", "full_rank", "error")} for layer in about["layers"]]
    return {"lane": about["lane"], "round": about["round"], "same_bits": about["same_bits"], "each": layers}
