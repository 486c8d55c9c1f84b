"""Look closer: studies of a run on request, listed by the question that each answers.

The worker computes them one after the other. This module requests them, follows their progress and returns their
results, which are stored with the run.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr

from core.errors import UserError
from core.runs.opened.catalogue import built, catalogue
from core.runs.spec.admission import in_options
from core.runs.store import study_files
from core.runs.store.store import Run
from core.runs.store.study_files import StudyFile
from core.runs.store.study_queue import StudyState
from lab_app.handlers.actions import owner
from lab_app.handlers.parts import QUIET, Parts
from lab_app.handlers.there import check_rounds, lanes_there, past_of, rounds_of
from lab_app.lab import Lab
from lab_app.markup import text
from lab_app.markup.widgets import widget

GROUPS = {  # in their order on the page; studies that are not named here follow behind these
    "Inside": ("angles", "blocks", "stability", "keys", "values", "maps", "correlation", "lens"),
    "Outside": ("scores", "retention", "ripple", "portability", "locality", "generation", "perplexity", "cost")
    + ("warning",),
    "Without editing": ("card", "trace", "layers", "decomposition"),
}
OTHERS = "Others"
OVER_ROUNDS = ("retention", "correlation", "warning", "perplexity")  # say little of one round alone
AT_NO_ROUND = ("card", "trace", "layers", "decomposition")
PATIENCE = 30.0  # seconds that the worker has to take a study on
SHOWN = 40  # studies of one run, the newest
MOST_ROWS = 150_000  # of one table that a page is sent: the heat maps of a few lanes and rounds
MOST_READ = 500  # files of the command line whose heads are remembered
LATER = "The worker is busy or starting. The request is queued."
SAYS = {"queued": "waiting", "running": "running", "done": "done", "stopped": "stopped", "failed": "failed"}
TEMPLATE = """
<section class="studies" aria-labelledby="studies-title">
  <h2 id="studies-title">Look closer</h2>
  <p class="lead">Studies that take too long to run after every round. Choose lanes and rounds of this run; the
  results are stored with the run.</p>
  <div class="desk"><nav class="questions" aria-label="Studies, by their question"></nav>
    <form class="asking" aria-label="What to study"></form></div>
  <p class="note" role="status" dir="auto"></p>
  <div class="results"></div>
</section>"""


def place(parts: Parts) -> None:
    parts.actions.beside["studies"] = Desk(parts.lab).standing
    parts.more["studies"] = widget(
        "studies",
        {"run": "", "studies": []},
        TEMPLATE,
        ["ask", "fetch", "stop", "forget"],
        catalogue=listed(),
        told={},
        found={},
    )


def connect(parts: Parts) -> None:
    box, desk = parts.more["studies"], Desk(parts.lab)
    asks = {"concurrency_limit": None, "trigger_mode": "multiple", **QUIET}
    box.ask(desk.ask, parts.run, box, **asks)
    box.fetch(desk.fetch, parts.run, box, **asks)
    box.stop(desk.stop, parts.run, box, **asks)
    box.forget(desk.forget, [parts.run, parts.visitor], box, **asks)


def pages(parts: Parts) -> None:
    """None of its own."""


class Desk:
    """The handlers."""

    def __init__(self, lab: Lab):
        self.lab = lab
        self._heads: dict[
            Path, tuple[int, StudyFile | None]
        ] = {}  # files of the command line, with when they were written

    def standing(self, run: str) -> dict[str, Any]:
        """A short list of a run's studies, newest first."""
        studies = [standing(state) for state in self.lab.store.studies.of(run)[:SHOWN]]
        studies = sorted([*studies, *self._of_command_line(run)], key=lambda study: study["created"], reverse=True)
        value: dict[str, Any] = {"run": run, "studies": studies[:SHOWN], "live": any(map(active, studies))}
        if value["live"]:
            worker = self.lab.store.worker()
            if worker is None or not worker.alive:
                value["notice"] = self.lab.trouble or "The worker is starting."
        return value

    async def ask(self, run: str, event: gr.EventData, request: gr.Request) -> Any:
        """Queue a study; returns the problem, if any."""
        given = event._data
        name, options, lanes = str(given.get("name", "")), given.get("options") or {}, given.get("lanes")
        rounds = str(given.get("rounds") or "last").replace(" ", "")
        try:
            if self.lab.store.get(run, spec=False) is None:
                raise UserError("start a run first: a study needs one")
            if not isinstance(lanes, list) or not lanes:
                raise UserError("choose at least one lane")
            study = built(name, options if isinstance(options, dict) else {})
            self.lab.offer(request).admit(in_options(study))
            past = await asyncio.to_thread(past_of, self.lab, run)
            check_rounds(past, lanes_there(past, [str(lane) for lane in lanes]), rounds_of(rounds))
            payload = {"name": name, "options": options, "lanes": lanes, "rounds": rounds}
            answer = await self._answered(run, "study", payload)
        except UserError as error:
            return gr.update(told={"message": sentence(str(error)), "wrong": True})
        if answer is None:
            return gr.update(told={"message": LATER})
        return gr.update(told={"message": "", "study": answer["study"]})

    async def stop(self, run: str, event: gr.EventData) -> Any:
        """Stop a study that is waiting or running."""
        return await self._change(run, "stop_study", event)

    async def forget(self, run: str, visitor: str, event: gr.EventData, request: gr.Request) -> Any:
        """Delete the result of a study, if this visitor may do so."""
        study = event._data.get("study")
        try:
            there = await asyncio.to_thread(self.lab.store.get, run, False)
            if there is None:
                raise UserError("this run no longer exists")
            check_owner(there, owner(visitor, request))
            if isinstance(study, str):
                await asyncio.to_thread(forget_file, there, study)
                return gr.update(told={"message": ""}, value=await asyncio.to_thread(self.standing, run))
        except UserError as error:
            return gr.update(told={"message": sentence(str(error)), "wrong": True})
        return await self._change(run, "delete_study", event)

    async def fetch(self, run: str, event: gr.EventData) -> Any:
        """The result of a study, packed for the page."""
        number = event._data.get("study")
        found = await asyncio.to_thread(found_of, self.lab, run, number)
        if found is None:
            return gr.update(found={"id": number, "message": "The result of this study no longer exists."})
        return gr.update(found={"id": number, **packed(found)})

    def _of_command_line(self, run: str) -> list[dict[str, Any]]:
        """The command-line results in a run's folder, as shown in the list."""
        there = self.lab.store.get(run, spec=False)
        found = []
        for file in study_files.files(there.folder) if there is not None else ():
            with suppress(OSError):  # deleted meanwhile
                written = file.stat().st_mtime_ns
                if self._heads.get(file, (0, None))[0] != written:
                    if len(self._heads) >= MOST_READ:
                        self._heads.clear()
                    self._heads[file] = written, StudyFile.read(file)
                if (one := self._heads[file][1]) is not None:
                    found.append(of_command_line(one))
        return found

    async def _change(self, run: str, kind: str, event: gr.EventData) -> Any:
        try:
            answer = await self._answered(run, kind, {"study": event._data.get("study")})
        except UserError as error:
            return gr.update(told={"message": sentence(str(error)), "wrong": True})
        return gr.update(told={"message": LATER if answer is None else ""})

    async def _answered(self, run: str, kind: str, payload: Mapping[str, Any]) -> dict[str, Any] | None:
        """The worker's answer to a command about a study ({} if it is empty), or None after the timeout."""
        command = self.lab.store.command(run, kind, payload)
        async for _, found in self.lab.answers({kind: command}, PATIENCE):
            if found.state == "failed":
                raise UserError(str((found.answer or {}).get("message", "that could not be done")))
            return found.answer or {}
        return None


def listed() -> list[dict[str, Any]]:
    """All studies for the page, grouped in the order of `GROUPS`."""
    places = {name: (group, place) for group, names in GROUPS.items() for place, name in enumerate(names)}
    order = [*GROUPS, OTHERS]
    found = []
    for about in catalogue():
        group, place = places.get(about["name"], (OTHERS, 0))
        several = "none" if about["name"] in AT_NO_ROUND else "several" if about["name"] in OVER_ROUNDS else "one"
        options = [{key: value for key, value in option.items() if value is not None} for option in about["options"]]
        found.append((order.index(group), place, about | {"group": group, "rounds": several, "options": options}))
    return [about for *_, about in sorted(found, key=lambda entry: entry[:2])]


def standing(state: StudyState) -> dict[str, Any]:
    """One study as shown in the list."""
    asked, progress = state.asked, state.progress or {}
    found: dict[str, Any] = {
        "id": state.id,
        "name": asked.name,
        "lanes": asked.lanes,
        "rounds": asked.rounds,
        "options": asked.options,
        "status": state.status,
        "says": SAYS[state.status],
        "message": sentence(state.message),
        "created": state.created,
    }
    if state.status == "queued" and state.position > 1:
        found["says"] = f"waiting, {state.position - 1} ahead"
    if state.status == "running":
        done, total = progress.get("done") or 0, progress.get("total") or 0
        found["says"] = progress.get("message") or SAYS["running"]
        found["part"] = round(min(1.0, done / total), 3) if total else None
        found["left"] = text.lasting(progress.get("eta_seconds"))
    return found


def of_command_line(one: StudyFile) -> dict[str, Any]:
    """A command-line result as shown in the list: its `id` is its key."""
    about = {"id": one.key, "name": one.study, "lanes": one.lanes, "rounds": one.rounds, "options": dict(one.options)}
    return about | {"status": "done", "says": SAYS["done"], "message": "", "created": one.created, "by": "command line"}


def found_of(lab: Lab, run: str, study: Any) -> dict[str, Any] | None:
    """The result of a study of a run, by its number or its command-line key; None if it does not exist."""
    there = lab.store.get(run, spec=False)
    if there is None:
        return None
    if isinstance(study, int):
        state = lab.store.studies.get(study)
        return lab.store.studies.result(there.folder, state) if state is not None and state.run == run else None
    keys = {one.key: one for one in study_files.results(there.folder, pages=False)}
    return json.loads(keys[study].file.read_text(encoding="utf-8")) if study in keys else None


def check_owner(run: Run, whose: str) -> None:
    """Only the owner of a run may delete its results; if it has no owner, anyone with its id. Raises `UserError`."""
    if run.owner and run.owner != whose:
        raise UserError("only the owner of a run can delete its results")


def forget_file(run: Run, key: str) -> None:
    """Delete a command-line result; raises `UserError` if the key does not exist."""
    study_files.delete(study_files.result(run.folder, key, pages=False))


def active(study: Mapping[str, Any]) -> bool:
    """Whether a study is waiting or running."""
    return study["status"] in ("queued", "running")


def packed(found: Mapping[str, Any]) -> dict[str, Any]:
    """The result of a study with tables by column: `{"columns", "values", "rows"}`, at most `MOST_ROWS` rows each.

    A column with few distinct words is sent as `{"words": [...], "at": [indices]}`.
    """
    about = (
        "study",
        "title",
        "question",
        "source",
        "options",
        "lanes",
        "rounds",
        "seconds",
        "protocol",
        "notes",
        "empty",
    )
    tables = {}
    for name, rows in found["tables"].items():
        columns = list(dict.fromkeys(column for row in rows[:MOST_ROWS] for column in row))
        values = [column_of([row.get(column) for row in rows[:MOST_ROWS]]) for column in columns]
        tables[name] = {"columns": columns, "values": values, "rows": len(rows)}
    kept = {key: found[key] for key in about if key in found}
    return kept | {"charts": found["charts"], "tables": tables, "model": (found.get("model") or {}).get("reference")}


def column_of(values: Sequence[Any]) -> Any:
    """A column's values, or its distinct words and their indices if that is shorter."""
    words = list(dict.fromkeys(value for value in values if isinstance(value, str)))
    if not words or len(words) * 2 > len(values) or any(not isinstance(value, (str, type(None))) for value in values):
        return list(values)
    places = {word: place for place, word in enumerate(words)}
    return {"words": words, "at": [None if value is None else places[value] for value in values]}


def sentence(message: str) -> str:
    """A message as a sentence of its own."""
    return message and f"{message[:1].upper()}{message[1:]}{'' if message.endswith(('.', '?', '!')) else '.'}"
