"""The streams that feed open pages: one of a kind for each page, and none outlives its page for long."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from lab_app.features import learn
from lab_app.handlers import watch
from lab_app.handlers.actions import Actions
from lab_app.lessons import lessons
from tests.lab_app.apart import run_apart
from tests.lab_app.synthetic import record


def page(name: str) -> Any:
    return SimpleNamespace(session_hash=name)


def stream(lab: Any, kind: str) -> Any:
    if kind == "lesson":
        run = lab.start(lessons()[0].spec(0, lab.world))
        return learn.Teacher(lab).follow(page("a"), SimpleNamespace(_data={"lesson": 1, "run": run}))
    return Actions(lab).follow(record(lab.store, rounds=4, until=2), page("a"))


@pytest.mark.parametrize("kind", ["page", "lesson"])
def test_a_stream_says_something_although_there_is_no_news(lab, monkeypatch, kind):
    """The server notices that a page was left when its stream says something; until then the stream holds a place."""
    for module in (watch, learn):
        monkeypatch.setattr(module, "BEAT", 0.05)
    monkeypatch.setattr(watch, "IDLE", 0.05)
    monkeypatch.setattr(learn, "LOOKED_EVERY", 0.05)

    async def scene() -> None:
        values = stream(lab, kind)
        for _ in range(5):
            await asyncio.wait_for(anext(values), 10)
        await values.aclose()

    run_apart(scene())


def test_a_page_that_rests_is_fed_no_more(lab, monkeypatch):
    monkeypatch.setattr(watch, "IDLE", 0.05)
    actions = Actions(lab)
    run = record(lab.store, rounds=2)

    async def scene() -> None:
        values = actions.follow(run, page("a"))
        await anext(values)
        actions.rest(page("a"))
        assert [value async for value in values] == []

    run_apart(scene())
    assert len(actions.streams) == 0


def test_a_page_listens_to_the_latest_of_its_streams(lab):
    run = record(lab.store, rounds=2)
    actions = Actions(lab)

    async def scene() -> None:
        first, other = actions.follow(run, page("a")), actions.follow(run, page("b"))
        await anext(first), await anext(other)
        assert len(actions.streams) == 2
        later = actions.follow(run, page("a"))
        await anext(later)
        assert [value async for value in first] == []
        assert len(actions.streams) == 2
        await later.aclose()
        await other.aclose()

    run_apart(scene())
    assert len(actions.streams) == 0
