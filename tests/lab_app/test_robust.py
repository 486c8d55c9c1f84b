"""What happens to a page: reloads, Back, a second tab, a lost connection, a worker that dies, a run that is deleted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab_app.conftest import Served, Visitors
from tests.lab_app.looking import DONE, LIVE, SCORES, drawn, run
from tests.lab_app.synthetic import record
from tests.runs.at_work import until

POINTS = f"{SCORES}.data?.at(-1).x.length"


@pytest.fixture
def page(visitors: Visitors, served: Served) -> Iterator[Any]:
    """A page that may complain: the browser does where a stream of news is cut off."""
    yield visitors.page()
    visitors.leave(served.address)


@pytest.fixture
def alone(browser: Any, visitors: Visitors) -> Iterator[Any]:
    """Such a page in a browser of its own: the network and the clock are the same for all of a browser's pages."""
    context = browser.new_context()
    yield visitors.page(context=context)
    context.close()


def begun(page: Any, served: Served, count: int) -> str:
    """A run in rounds of ten that is started on the page."""
    page.goto(served.address)
    page.wait_for_selector("#lab-facts .fact")
    return run(page, count, 10)


def all_drawn(page: Any, served: Served, finished: str) -> None:
    """Wait until as many points are drawn as were measured."""
    page.wait_for_function(f"{POINTS} === {rounds(served, finished)}")


def rounds(served: Served, run: str) -> int:
    """How often the first lane was measured."""
    measured = [event["lane"] for _, event in served.store.events(run) if event["kind"] == "measured"]
    return measured.count(measured[0])


def test_a_reload_in_the_middle_of_a_run(page: Any, served: Served) -> None:
    started = begun(page, served, 120)
    page.wait_for_selector(LIVE)
    drawn(page, "scores")
    page.reload()
    page.wait_for_selector(DONE)
    drawn(page, "scores")
    all_drawn(page, served, started)


def test_back_leads_to_the_run_before(page: Any, served: Served) -> None:
    long, short = record(served.store, rounds=5), record(served.store, rounds=3)
    page.goto(f"{served.address}/?run={long}")
    page.wait_for_selector("#lab-dock .at >> text=Round 5 of 5")
    page.goto(f"{served.address}/?run={short}")
    page.wait_for_selector("#lab-dock .at >> text=Round 3 of 3")
    page.go_back()
    page.wait_for_selector("#lab-dock .at >> text=Round 5 of 5")
    page.go_forward()
    page.wait_for_selector("#lab-dock .at >> text=Round 3 of 3")


def test_two_tabs_show_one_run(visit: Any, served: Served) -> None:
    first = visit()
    try:
        started = run(first, 1000, 4)  # far more than is waited for
        second = visit(f"?run={started}", context=first.context)
        second.wait_for_selector(LIVE)
        second.click("#stop")
        for page in (first, second):
            page.wait_for_selector("#lab-dock .dock[data-status=stopped]")
    finally:
        for going in served.store.runs():
            if going.status in ("queued", "running"):
                served.store.command(going.id, "stop")


def test_a_lost_connection_is_told_and_made_up_for(alone: Any, served: Served) -> None:
    page, started = alone, begun(alone, served, 200)
    page.wait_for_selector(LIVE)
    drawn(page, "scores")
    page.context.set_offline(True)
    page.wait_for_selector("#lab-dock .notice >> text=lost its connection")
    seen, store = page.evaluate(POINTS), served.store
    until(lambda: rounds(served, started) > seen or store.get(started).status == "done", "a round that is missed")
    page.context.set_offline(False)
    page.wait_for_selector(DONE)
    all_drawn(page, served, started)
    page.wait_for_selector("#lab-dock .notice >> text=lost its connection", state="detached")


def test_a_full_disk_is_told_and_nothing_is_lost(visit: Any, served: Served) -> None:
    half = record(served.store, rounds=6, until=2)
    page = visit(f"?run={half}")
    page.wait_for_selector("#lab-dock .at >> text=Round 2 of 6")
    message = "The run stopped: no space is left on the disk. Make some, then press Resume; all rounds so far are kept."
    served.store.append(half, [], status="failed", message=message)
    page.wait_for_selector("#lab-dock .says >> text=no space is left on the disk")
    page.wait_for_selector("#pause >> text=Resume")
    assert page.evaluate(POINTS) == 3  # what was measured stays


def test_a_run_that_is_deleted_while_shown(visit: Any, served: Served) -> None:
    shown = record(served.store, rounds=3)
    page = visit(f"?run={shown}")
    page.wait_for_selector(DONE)
    served.store.delete(shown)
    page.wait_for_selector("#lab-dock .says >> text=it was deleted")
    page.wait_for_selector("#undo:disabled")
    page.wait_for_selector("#stop:disabled")
    assert page.locator("#start:enabled").count() == 1  # another one can be begun


HIDDEN = """(hidden) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_a_tab_that_nobody_looks_at_holds_no_connection(alone: Any, served: Served) -> None:
    """A browser keeps six connections to one address: seven pages that were all fed would leave none for a click."""
    page, going = alone, set()
    page.on("request", lambda request: going.add(request))  # playwright hangs attributes on what it is given
    for end in ("requestfinished", "requestfailed"):
        page.on(end, lambda request: going.discard(request))
    run_ = record(served.store, rounds=2)
    page.clock.install()
    page.goto(f"{served.address}/?run={run_}")
    page.wait_for_selector(DONE)
    assert going  # the page is fed
    page.evaluate(HIDDEN, True)
    page.clock.run_for(31_000)
    until(lambda: page.wait_for_timeout(20) or not going, f"the end of {going}")
    served.store.append(run_, [], status="failed", message="The fan fell off.")
    page.evaluate(HIDDEN, False)
    page.wait_for_selector("#lab-dock .says >> text=The fan fell off.")
