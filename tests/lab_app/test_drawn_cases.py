"""What panels draw besides lanes: controls without an edit, a score that is no share, why numbers are missing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from tests.lab_app.looking import DONE, drawn
from tests.lab_app.synthetic import LANES, measured, record, started


def test_what_no_edit_gives_is_drawn_as_it_was_measured(visit: Any, served: Any) -> None:
    """R_k of a second pass and of other inputs, what guessing gets, and SS over j: each beside its stored numbers."""
    finished = record(served.store, rounds=3)
    events = [event for _, event in served.store.events(finished)]
    started, last = events[0], [event for event in events if event["kind"] == "measured"][-1]
    page = visit(f"?run={finished}")
    page.wait_for_selector(DONE)
    drawn(page, "drift")
    traces = page.evaluate(
        "document.querySelector('#lab-panel-drift .plot').data.map(({ x, y, customdata, name }) =>"
        " ({ x, y, customdata, name }))"
    )
    found = {trace["name"]: trace for trace in traces}
    control, layer = started["controls"][-1], last["drift"][-1]  # of the last layer, which is shown at first
    still, others = "null edit", "other inputs, no edit"
    for name, stored in ((still, control["null"]), (others, control["resampled"]), (LANES[1], layer["rk"])):
        wanted = [float(f"{stored[k - 1]:.4g}") for k in found[name]["x"]]
        assert found[name]["customdata"] == wanted
        above = min(value for trace in traces for value in trace["customdata"] if value > 0)
        assert found[name]["y"] == [value if value > 0 else found[still]["y"][0] for value in wanted]
        assert 0 < found[still]["y"][0] < above  # the axis has no zero: at its foot
    assert "null edit: 0" in page.text_content("#lab-panel-drift .plot")
    assert started["reads"]["drift"] in page.inner_text("#lab-panel-drift .protocol")
    drawn(page, "tasks")
    at = page.evaluate("document.querySelector('#lab-panel-tasks .plot').layout.shapes.map(({ y0 }) => y0)")
    assert at[1] == sum(info["chance"] for info in started["tasks"].values()) / len(started["tasks"])
    assert "guessing: 37.5 %" in page.text_content("#lab-panel-tasks .plot")
    drawn(page, "directions")
    j, first = page.evaluate(
        "(({ x, y }) => [x, y])(document.querySelector('#lab-panel-directions .plot').data"
        f".find(({{ lane }}) => lane === {json.dumps(LANES[0])}))"
    )
    plain = [event for event in events if event["kind"] == "measured" and event["lane"] == LANES[0]][-1]["similarity"][
        -1
    ]
    stored = dict(zip(plain["index_right"], plain["ss_right_first"], strict=True))
    assert first == [round(stored[one - 1], 3) for one in j]
    assert j[first.index(max(first))] == 40  # where the first direction has gone
    kept = page.evaluate("document.querySelector('#lab-panel-scores .plot').data.filter(({ lane }) => lane).at(-1).y")
    assert kept[-1] == float(f"{last['scores']['locality_kept']:.4g}")


def test_a_task_that_is_no_share_has_an_axis_of_its_own(visit: Any, served: Any, monkeypatch: Any) -> None:
    """A correlation is drawn from −1 to 1, named at its number, and not among the tasks that the mean is over."""

    def with_cola(*given: Any, **options: Any) -> Any:
        named = {"chance": 0.5, "in_mean": True, "metric": "acc", "called": "accuracy"}
        cola = {"chance": None, "in_mean": False, "metric": "mcc", "called": "Matthews correlation, −1 to 1"}
        tasks = {"sentiment": named, "entailment": cola, "arithmetic": named}
        return replace(started(*given, **options), tasks=tasks)

    monkeypatch.setattr("tests.lab_app.synthetic.started", with_cola)
    page = visit(f"?run={record(served.store, rounds=3)}")
    page.wait_for_selector(DONE)
    drawn(page, "tasks")
    axis = "document.querySelector('#lab-panel-tasks .plot').layout.yaxis.range"
    panel = page.locator("#lab-panel-tasks")
    assert "mean of 2 tasks" in panel.inner_text()
    assert page.evaluate(axis) == [-0.03, 1.03]
    panel.get_by_role("button", name="entailment").click()
    page.wait_for_function(f"{axis}[0] === -1.03")
    assert "Matthews correlation" in panel.inner_text()


def test_a_panel_without_numbers_says_why(visit: Any, served: Any) -> None:
    run = served.store.create_run(served.store.get(record(served.store, rounds=1)).spec)
    served.store.set_status(run, "stopped")  # at once, or the worker takes it
    event = started(1, 50)
    served.store.append(
        run, [replace(event, reads={}, controls=[], lacking={"drift": "R_k was left out: few tokens."})]
    )
    served.store.append(run, [replace(measured(LANES[0], 0, 1, 50), drift=[])])
    served.store.set_status(run, "stopped")
    page = visit(f"?run={run}")
    page.locator("#lab-panel-drift").scroll_into_view_if_needed()
    page.wait_for_selector("#lab-panel-drift .empty >> text=R_k was left out: few tokens.")
