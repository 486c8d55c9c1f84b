"""The Learn page: lessons that run live on the pocket model, on a page of their own at `/learn`.

Predictions stay in the visitor's browser. Results are read from the lesson's run, whose id is in the
address (`/learn?lesson=4&run=…`).
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import gradio as gr

from core.errors import UserError
from lab_app.handlers.actions import owner, whole
from lab_app.handlers.parts import QUIET, Parts
from lab_app.handlers.streams import BEAT, Streams
from lab_app.lab import Lab
from lab_app.lessons import lessons
from lab_app.lessons.lesson import Lesson
from lab_app.lessons.markup import data, page
from lab_app.lessons.standing import LIVE, Standing
from lab_app.markup.widgets import widget

LOOKED_EVERY = 0.4  # seconds
LAST_SEED = 999
EVENTS = ("begin", "follow", "stop", "resume")
Value = dict[str, Any]


def place(parts: Parts) -> None:
    """Nothing on the main page; its header has a link."""


def connect(parts: Parts) -> None:
    """Nothing: events do not cross pages."""


def pages(parts: Parts) -> None:
    """The page itself, with handlers of its own."""
    teacher = Teacher(parts.lab)
    with parts.page.route("Learn", "learn", show_in_navbar=False):
        visitor = gr.BrowserState("", storage_key="edit-lab-visitor", secret=parts.lab.secret)
        learn = widget("learn", {}, page(lessons()), EVENTS, lessons=data(lessons()))
        asks = {"concurrency_limit": None, "trigger_mode": "multiple", **QUIET}
        parts.page.load(teacher.arrive, visitor, [visitor, learn], **asks)
        learn.begin(teacher.begin, visitor, learn, **asks)
        learn.follow(teacher.follow, None, learn, **asks)
        learn.stop(teacher.stop, None, None, **asks)
        learn.resume(teacher.resume, None, learn, **asks)


class Teacher:
    """The handlers of the page."""

    def __init__(self, lab: Lab):
        self.lab = lab
        self.streams = Streams()

    def arrive(self, visitor: str, request: gr.Request) -> tuple[str, Value]:
        """The visitor, and the lesson and run that the address names."""
        query = request.query_params
        number = min(max(1, whole(query.get("lesson"), 1)), len(lessons()))
        run = str(query.get("run") or "")[:64]
        return visitor or secrets.token_urlsafe(16), {"lesson": number, "run": run, "arrived": True}

    def begin(self, visitor: str, request: gr.Request, event: gr.EventData) -> Value:
        """Queue a lesson's experiment."""
        found = lesson_of(event._data)
        if found is None:
            return {"problem": "There is no such lesson."}
        number, lesson = found
        seed = min(whole(event._data.get("seed")), LAST_SEED)
        said: Value = {"lesson": number, "seed": seed}
        try:
            if self.lab.world is None:
                raise UserError("The pocket world is missing. Build it with: python -m core pocket build")
            run = self.lab.start(lesson.spec(seed, self.lab.world), owner(visitor, request), self.lab.offer(request))
            self.lab.store.rename(run, f"Lesson {number}: {lesson.title}")
        except UserError as error:
            return said | {"problem": str(error)}
        return said | {"run": run, "begun": True}

    async def follow(self, request: gr.Request, event: gr.EventData) -> AsyncIterator[Value]:
        """The state of the lesson's run after each change, until it is over."""
        found, run = lesson_of(event._data), str(event._data.get("run") or "")[:64]
        if found is None or not run:
            return
        number, lesson = found
        reader = Standing(self.lab.store, lesson, run, lambda: self.lab.trouble)
        with self.streams.opened(request) as listened_to:
            async for state in standing(reader):
                if not listened_to():
                    return
                yield {"lesson": number, "run": run, "state": state}

    def stop(self, event: gr.EventData) -> None:
        """Stop the lesson's run, or the study of it."""
        if (reader := self._reader(event._data)) is not None:
            reader.stop()

    async def resume(self, request: gr.Request, event: gr.EventData) -> AsyncIterator[Value]:
        """Resume it, and follow it."""
        if (reader := self._reader(event._data)) is not None:
            reader.resume()
        async for value in self.follow(request, event):
            yield value

    def _reader(self, asked: Mapping[str, Any]) -> Standing | None:
        found, run = lesson_of(asked), str(asked.get("run") or "")[:64]
        if found is None:
            return None
        reader = Standing(self.lab.store, found[1], run)
        return reader if reader.look()["status"] != "missing" else None


async def standing(reader: Standing) -> AsyncIterator[Value]:
    """The state of a run until it is over; also repeated without a change now and then, so that the page knows that it
    is connected."""
    before: Value = {}
    while True:
        try:
            state = await asyncio.to_thread(reader.look)
        except UserError as error:
            yield {"status": "failed", "says": str(error)}
            return
        live = state["status"] in (*LIVE, "paused")
        state |= {"live": live} | ({"beat": int(time.time() / BEAT)} if live else {})
        if state != before:
            before = state
            yield state
        if not live:
            return
        await asyncio.sleep(LOOKED_EVERY)


def lesson_of(asked: Mapping[str, Any]) -> tuple[int, Lesson] | None:
    """The lesson that a page requests, by its number from 1."""
    number = asked.get("lesson")
    if not isinstance(number, int) or not 1 <= number <= len(lessons()):
        return None
    return number, lessons()[number - 1]
