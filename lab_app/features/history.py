"""Runs: a list of all the runs of a visitor, to search, rename, annotate, resume, delete and compare."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import gradio as gr

from core.errors import UserError
from core.runs.store.store import LONGEST_NOTES, LONGEST_TITLE, Run
from lab_app.handlers.actions import Actions, owner
from lab_app.handlers.asking import answered
from lab_app.handlers.compare import MOST_RUNS, compared
from lab_app.handlers.parts import QUIET, Parts
from lab_app.markup import text
from lab_app.markup.widgets import widget

SHOWN = 200  # runs in the list; a search finds the others
PATIENCE = 20.0  # seconds that the worker has to delete a run or take it on again
CAN_RESUME = ("paused", "stopped", "failed")
LATER = "The worker is busy or starting. The request is queued."
ADDRESS = re.compile(r"run=([\w-]{1,64})")
TEMPLATE = """
<dialog class="sheet history" aria-labelledby="history-title">
  <header><h2 id="history-title">Runs</h2>
    <button type="button" data-do="close" class="close" aria-label="Close">×</button></header>
  <div class="listing">
    <div class="find">
      <input type="search" placeholder="Search titles and notes" aria-label="Search titles and notes" dir="auto"
        autocomplete="off" maxlength="200">
      <span class="count" role="status"></span>
      <button type="button" data-do="compare" class="main" disabled>Compare</button></div>
    <p class="note" role="status" dir="auto"></p>
    <ul class="runs-list"></ul>
    <form class="by-address"><label>Compare with a shared run
      <input type="text" placeholder="address of the run" autocomplete="off" spellcheck="false"></label>
      <button type="submit">Add</button></form>
    <details class="programs"><summary>Runs started by a program</summary>
      <p>Runs that a program starts with this key appear in this list. Anyone who has the key can see all of them.</p>
      <code class="key" tabindex="0"></code></details>
  </div>
  <div class="comparing" hidden>
    <button type="button" data-do="back" class="back">‹ All runs</button>
    <p class="note" role="status" dir="auto"></p>
    <div class="choices" role="group" aria-label="What the curves show"></div>
    <p class="protocol">all facts edited so far in each lane, tested at each measured round</p>
    <div class="plot" role="img" aria-label="Scores over edits, one curve per lane"></div>
    <h3>Last scores</h3>
    <div class="as-table scores" tabindex="0"></div>
    <div class="under"><h3>Settings</h3>
      <label class="only"><input type="checkbox" checked> differences only</label></div>
    <div class="as-table settings" tabindex="0"></div>
  </div>
</dialog>"""
LIMITS = {"title": LONGEST_TITLE, "notes": LONGEST_NOTES, "runs": MOST_RUNS}


def place(parts: Parts) -> None:
    events = ["look", "rename", "write", "resume", "forget", "compare"]
    parts.more["history"] = widget("history", {"runs": []}, TEMPLATE, events, compared={}, limits=LIMITS)


def connect(parts: Parts) -> None:
    box, history = parts.more["history"], History(parts.actions)
    at_once = {"concurrency_limit": None, "trigger_mode": "multiple", **QUIET}
    changes = [box, parts.header]
    box.look(history.look, parts.visitor, box, **at_once)
    box.rename(history.rename, parts.visitor, changes, **at_once)
    box.write(history.write, parts.visitor, changes, **at_once)
    box.resume(history.resume, parts.visitor, changes, **at_once)
    box.forget(history.forget, parts.visitor, changes, **at_once)
    box.compare(history.compare, None, box, **at_once)


def pages(parts: Parts) -> None:
    """None of its own."""


class History:
    """The handlers. A visitor changes only runs of their own, whatever their browser sends."""

    def __init__(self, actions: Actions):
        self.actions, self.lab = actions, actions.lab

    def look(self, visitor: str, event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        """The runs whose title, notes or state match the search."""
        return self.listed(visitor, request, event._data.get("search"))

    def rename(self, visitor: str, event: gr.EventData, request: gr.Request) -> tuple[Any, Any]:
        """Give a run another title."""

        def change(run: Run) -> None:
            self.lab.store.rename(run.id, str(event._data.get("title", "")))

        return self._changed(visitor, event, request, change)

    def write(self, visitor: str, event: gr.EventData, request: gr.Request) -> tuple[Any, Any]:
        """Keep notes about a run."""

        def change(run: Run) -> None:
            self.lab.store.note(run.id, str(event._data.get("notes", "")))

        return self._changed(visitor, event, request, change)

    async def resume(self, visitor: str, event: gr.EventData, request: gr.Request) -> tuple[Any, Any]:
        """Resume a run that stopped."""
        return await self._asked("resume", visitor, event, request)

    async def forget(self, visitor: str, event: gr.EventData, request: gr.Request) -> tuple[Any, Any]:
        """Delete a run with all its files; an active run is stopped first."""
        return await self._asked("delete", visitor, event, request)

    async def compare(self, event: gr.EventData) -> Any:
        """Any runs side by side, by their addresses."""
        runs = event._data.get("runs")
        asked = [run_of(str(run)) for run in runs] if isinstance(runs, list) else []
        try:
            found = await asyncio.to_thread(compared, self.lab.store, asked)
        except UserError as error:
            found = {"message": text.sentence(str(error))}
        return gr.update(compared=found | {"asked": asked})

    def listed(
        self, visitor: str, request: gr.Request, search: Any = "", message: str = "", wrong: bool = False
    ) -> dict[str, Any]:
        """What the list shows: the newest matching runs, and their number."""
        search = str(search or "")[:200]
        whose = owner(visitor, request)
        own = self.lab.store.runs(whose) if whose else []
        found = [run for run in own if holds(run, search)]
        value = {"runs": [row_of(run) for run in found[:SHOWN]], "found": len(found), "all": len(own)}
        key = "" if getattr(request, "username", None) else visitor
        return value | {"search": search, "message": message, "wrong": wrong, "key": key, "known": bool(whose)}

    def own(self, visitor: str, event: gr.EventData, request: gr.Request) -> Run:
        """The run of an event; raises `UserError` if it is not this visitor's."""
        found = self.lab.store.get(str(event._data.get("run", "")), spec=False)
        if found is None:
            raise UserError("this run no longer exists")
        if not found.owner or found.owner != owner(visitor, request):
            raise UserError("this run belongs to somebody else: only its owner can change it")
        return found

    def _changed(
        self, visitor: str, event: gr.EventData, request: gr.Request, change: Callable[[Run], None]
    ) -> tuple[Any, Any]:
        message, wrong = "", False
        try:
            change(self.own(visitor, event, request))
        except UserError as error:
            message, wrong = text.sentence(str(error)), True
        return self._shown(visitor, event, request, message, wrong)

    async def _asked(self, kind: str, visitor: str, event: gr.EventData, request: gr.Request) -> tuple[Any, Any]:
        message, wrong = "", False
        try:
            run = self.own(visitor, event, request)
            done = await answered(self.lab, run.id, kind, None, PATIENCE) is not None
            if not done and self.lab.store.get(run.id, spec=False) is not None:  # what is deleted answers no more
                message = LATER
        except UserError as error:
            message, wrong = text.sentence(str(error)), True
        return await asyncio.to_thread(self._shown, visitor, event, request, message, wrong)

    def _shown(self, visitor: str, event: gr.EventData, request: gr.Request, message: str, wrong: bool) -> Any:
        value = self.listed(visitor, request, event._data.get("search"), message, wrong)
        return value, self.actions.runs(visitor, request)


def row_of(run: Run) -> dict[str, Any]:
    """One run as the list shows it."""
    says = text.STATES.get(run.status, run.status)
    if run.position > 1:
        says = f"waiting, {run.position - 1} ahead"
    found = {"id": run.id, "title": run.title, "notes": run.notes, "status": run.status, "says": says}
    return found | {"message": run.message, "created": run.created, "resumes": run.status in CAN_RESUME}


def holds(run: Run, search: str) -> bool:
    """Whether all words of a search are in a run's entry of the list."""
    there = f"{run.title} {run.notes} {text.STATES.get(run.status, run.status)}".casefold()
    return all(word in there for word in search.casefold().split())


def run_of(address: str) -> str:
    """A run's id from a shared address, or the id itself.

    >>> run_of("http://localhost:7860/?view=x&run=3f2a&round=2"), run_of(" 3f2a ")
    ('3f2a', '3f2a')
    """
    found = ADDRESS.search(address)
    return found[1] if found else address.strip()[:64]
