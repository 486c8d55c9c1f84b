"""The small parts of a run: plan, control, pace, folder, the telling on a terminal."""

import csv
import io
import os
import time

import pytest

from core.runs.engine.cautions import elsewhere, flagged
from core.runs.progress.control import Control, Paused, Stopped
from core.runs.progress.eta import Pace, RunPace, clock
from core.runs.progress.events import Edited, Finished, Measured, Progress, Started, Warned
from core.runs.progress.terminal import SILENT, Telling
from core.runs.spec.plan import ALL_DONE, Past, Plan
from core.runs.store.folder import RunFolder, csv_text, replace_text
from core.runs.store.turns import in_turn


def test_a_plan_covers_every_fact_once():
    plan = Plan(facts=25, size=10, every=2)
    assert plan.rounds == 3
    assert [plan.edited_in(n) for n in (1, 2, 3)] == [list(range(10)), list(range(10, 20)), list(range(20, 25))]
    assert [plan.measured(n) for n in (1, 2, 3)] == [False, True, True]
    assert plan.edited_by(3) == list(range(25))
    assert plan.edited_since(0, 2) == list(range(20))
    assert plan.edited_since(2, 3) == list(range(20, 25))
    assert (plan.measurements(), plan.measurements(2)) == (2, 1)


def test_a_list_of_rounds_is_measured_and_the_last_one():
    plan = Plan(facts=12, size=1, chosen=frozenset((1, 2, 5, 10, 20)))
    assert [n for n in range(1, plan.rounds + 1) if plan.measured(n)] == [1, 2, 5, 10, 12]
    assert (plan.measurements(), plan.measurements(2)) == (5, 3)


def test_the_past_is_read_from_events():
    events = [
        {"kind": "measured", "lane": "a", "round": 0, "scores": {"efficacy": 0}},
        {"kind": "edited", "lane": "a", "round": 1, "facts": [0, 1], "seconds": {"total": 2.0}},
        {"kind": "edited", "lane": "a", "round": 2, "facts": [2, 3], "seconds": {"solve": 3.0, "total": 3.0}},
        {"kind": "measured", "lane": "a", "round": 2, "scores": {"efficacy": 1}},
        {"kind": "warned", "lane": "b", "round": 1, "level": "error", "message": "broke"},
    ]
    past = Past(events)
    assert past.last_edit("a") == 2
    assert past.last_edit("b") == 0
    assert past.failed == {"b": 1}
    assert past.last_measured("a", 3) == ("a", 2)
    assert past.last_measured("a", 2) == ("a", 0)
    assert past.last_measured("b", 2) == ("b", 0)
    assert past.edit_seconds("a", 2) == {"edit_seconds": 5.0, "per_edit_seconds": 1.25, "setup_seconds": 0}
    assert past.steps_left(Plan(40, 10), ["a", "b"]) == ({"a": 2}, {"a": 3})


def test_seconds_of_several_rounds_are_told_per_edit_and_set_up_and_waiting_are_no_lanes():
    """Measured every third round: `edit_seconds` is a sum of three, what is drawn is one edit's."""
    phases = {"values": 6.0, "solve": 2.0, "setup": 50.0, "waiting": 100.0, "other": 0.0, "total": 158.0}
    later = {"values": 6.0, "solve": 2.0, "other": 0.0, "total": 8.0}
    edits = [
        {"kind": "edited", "lane": "a", "round": n, "facts": [0] * (4 if n < 3 else 2), "seconds": seconds}
        for n, seconds in enumerate([phases, later, later], 1)
    ]
    past = Past(edits)
    assert past.edit_seconds("a", 3) == {"edit_seconds": 24.0, "per_edit_seconds": 2.4, "setup_seconds": 50.0}
    assert past.edit_seconds("a", 0) == {"edit_seconds": 0, "per_edit_seconds": None, "setup_seconds": 0}
    told = Telling(out := io.StringIO(), io.StringIO())
    told.event(Edited(lane="a", round=1, facts=[0] * 4, seconds=phases, layers=[], hash={}))
    assert "4 facts edited in 8.0 s, and 50.0 s for what all rounds share" in out.getvalue()


def measured(lane, number, recall, **more):
    scores = {"unedited_recall": recall, "task_mean": 0.8}
    return {"kind": "measured", "lane": lane, "round": number, "scores": scores | more, "layers": []}


def test_a_lane_is_flagged_once_on_its_way_and_once_when_half_is_lost():
    recalls = [0.8, 0.75, 0.55, 0.5, 0.3, 0.2]
    past = Past(measured("a", number, recall) for number, recall in enumerate(recalls))
    said = {number: [flag.message for flag in flagged(past, "a", number)] for number in range(1, 6)}
    assert [len(said[number]) for number in said] == [0, 1, 0, 1, 0]
    assert "on its way to collapse: 31% of what it knew" in said[2][0]
    assert said[4] == [
        "The model has lost more than half of facts that were never edited: 80% before the edits, 30% now."
    ]


def test_a_branch_is_held_against_the_unedited_model_through_its_parent():
    lanes = [{"label": "a"}, {"label": "b", "from": {"lane": "a", "round": 2}}]
    events = [{"kind": "started", "lanes": lanes}]
    events += [measured("a", number, recall) for number, recall in enumerate([0.8, 0.8, 0.75, 0.1])]
    events += [measured("b", number, recall) for number, recall in ((2, 0.75), (3, 0.7), (4, 0.6))]
    past = Past(events)
    assert past.history("b") == [("a", 0), ("a", 1), ("b", 2), ("b", 3), ("b", 4)]
    assert past.history("b", 1) == [("a", 0), ("a", 1)]
    assert past.last_measured("b", 2) == ("a", 1)
    assert (past.begins("b"), past.last_edit("b"), past.last_edit("a")) == (2, 2, 0)
    assert not list(flagged(past, "b", 3))
    assert [flag.round for flag in flagged(past, "b", 4)] == [4]


def test_numbers_that_are_not_finite_any_more_end_a_lane():
    past = Past([measured("a", 0, 0.8, perplexity=5.0), measured("a", 1, 0.8, perplexity=None)])
    assert [flag.level for flag in flagged(past, "a", 1)] == ["error"]


def test_control_steps_pauses_and_stops():
    changes, polled = [], []
    control = Control(poll=polled.append, changed=changes.append, give_way=lambda: True)
    control.step(2)
    control.boundary(round_over=True)
    with pytest.raises(Paused):
        control.boundary(round_over=True)
    assert changes == [True]
    control.resume()
    control.boundary(round_over=True)
    assert changes == [True, False]
    assert True in polled
    control.stop("bye")
    with pytest.raises(Stopped, match="bye"):
        control.boundary()


def test_progress_is_passed_on_now_and_then():
    seen = []
    control = Control(report=seen.append)
    for done in range(100):
        control.report(Progress(phase="statistics", done=done, total=100))
    control.report(Progress(phase="values"))
    assert 2 <= len(seen) < 50
    assert seen[-1].phase == "values"
    assert control.wants("layers", None, None)
    assert not control.wants("values", None, None)
    assert not Control().wants("layers", None, None)


def test_time_left_follows_what_was_measured():
    assert Pace().left(0, 10) is None
    assert Pace().left(10, 10) == 0
    pace = RunPace({"a": 10, "b": 10}, {"a": 5, "b": 5})
    assert pace.left() is None
    pace.took("edit", "a", 2.0)
    assert pace.left() == 2.0 * 9 + 2.0 * 10
    pace.took("measure", "a", 1.0)
    pace.took("edit", "b", 4.0)
    assert pace.left() == 2.0 * 9 + 4.0 * 9 + 1.0 * 4 + 1.0 * 5
    pace.drop("b")
    assert pace.left() == 2.0 * 9 + 1.0 * 4


def test_time_left_runs_down_while_an_edit_goes_on(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    pace = RunPace({"a": 3}, {"a": 0})
    pace.begin("edit", "a")
    now[0] = 105.0
    assert pace.left() is None  # nothing to go by yet
    pace.took("edit", "a", 10.0)
    assert pace.left() == 20.0
    pace.begin("edit", "a")
    now[0] = 109.0
    assert pace.left() == 16.0
    now[0] = 150.0
    assert pace.left() == 10.0  # longer than the one before: what comes after it is still to do
    pace.took("edit", "a", 45.0)
    assert pace.left() == 27.5


@pytest.mark.parametrize("seconds, text", [(None, ""), (3.2, "3 s"), (200, "3 min"), (7800, "2 h 10 min")])
def test_time_is_said_as_people_do(seconds, text):
    assert clock(seconds) == text


def test_owners_who_were_served_long_ago_come_first():
    runs = [
        {"id": "a1", "owner": "a", "status": "queued", "queued": 1.0, "started": None},
        {"id": "b0", "owner": "b", "status": "done", "queued": 0.0, "started": 5.0},
        {"id": "b1", "owner": "b", "status": "queued", "queued": 0.5, "started": None},
        {"id": "a0", "owner": "a", "status": "done", "queued": 0.0, "started": 9.0},
    ]
    assert in_turn(runs) == ["b1", "a1"]


def test_rounds_are_counted_by_the_layers_that_they_edited(tmp_path):
    def edited(lane, number, *layers):
        rows = [{"layer": layer, "delta_frobenius": 1.0} for layer in layers]
        return Edited(lane=lane, round=number, facts=[number], seconds={}, layers=rows, hash={})

    def measured(lane, number):
        return Measured(lane=lane, round=number, scores={}, layers=[{"layer": layer} for layer in (1, 2, 3)])

    lanes = [{"label": "a"}, {"label": "b", "from": {"lane": "a", "round": 2}}]
    events = [
        Started(lanes=lanes, rounds=3, facts=3, layers={"a": [1, 2, 3], "b": [1, 2, 3]}, model={}, versions={}),
        *(edited("a", 1, 1, 2), edited("a", 2, 2), measured("a", 2), edited("a", 3, 1), measured("a", 3)),
        *(measured("b", 2), edited("b", 3, 2), measured("b", 3)),
    ]
    RunFolder(tmp_path).restore([event.as_dict() for event in events])
    with (tmp_path / "layers.csv").open(newline="") as file:
        rows = {(row["lane"], row["round"], row["layer"]): row["rounds_edited"] for row in csv.DictReader(file)}
    for place, counts in {("a", "2"): "120", ("a", "3"): "220", ("b", "2"): "120", ("b", "3"): "130"}.items():
        assert [rows[(*place, layer)] for layer in "123"] == list(counts)


EVENTS = [
    Started(lanes=[{"label": "a"}], rounds=1, facts=2, layers={"a": [3]}, model={}, versions={}),
    Measured(lane="a", round=0, scores={"edits": 0, "efficacy": 0.5, "task_x": 1.0}, layers=[{"layer": 3, "ls": 1.0}]),
    Edited(
        lane="a",
        round=1,
        facts=[0, 1],
        seconds={"total": 1.5},
        layers=[{"layer": 3, "delta_frobenius": 2.0, "removed_share": 0.1}],
        hash={},
    ),
    Measured(
        lane="a",
        round=1,
        scores={"edits": 2, "efficacy": float("nan"), "new_column": 1, "edit_seconds": 1.5},
        layers=[{"layer": 3, "ls": 0.5, "delta_frobenius": None}],
    ),
    Warned(message="careful", lane="a", round=1),
    Finished(status="done", message="All done."),
]


def test_tables_come_from_events(tmp_path):
    folder = RunFolder(tmp_path)
    folder.restore([event.as_dict() for event in EVENTS])
    rounds = (tmp_path / "rounds.csv").read_text().splitlines()
    header = rounds[0].split(",")
    assert header[:2] == ["lane", "round"]
    assert header[-4:] == ["edit_seconds", "per_edit_seconds", "setup_seconds", "measure_seconds"]
    assert header.index("task_mean") < header.index("task_x") < header.index("new_column")
    assert rounds[2].startswith("a,1,sequential,2,,,")
    layers = (tmp_path / "layers.csv").read_text().splitlines()
    assert dict(zip(layers[0].split(","), layers[2].split(","), strict=True))["delta_frobenius"] == "2.0"
    assert [dict(zip(layers[0].split(","), line.split(","), strict=True))["rounds_edited"] for line in layers[1:]] == [
        "0",
        "1",
    ]
    other = RunFolder(tmp_path / "other")
    for event in EVENTS:
        other.add(event.as_dict())
    for name in ("rounds.csv", "layers.csv", "events.jsonl"):
        assert (tmp_path / "other" / name).read_text() == (tmp_path / name).read_text()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_texts_with_line_ends_stay_in_their_row():
    rows = [{"a": "one\rtwo", "b": None}, {"a": 'three\nfour, "five"'}, {"b": "six\r\n"}]
    text = csv_text(["a", "b"], rows)
    assert text.startswith('a,b\n"one\rtwo",\n')
    read = list(csv.DictReader(io.StringIO(text, newline="")))
    assert read == [{name: row.get(name) or "" for name in "ab"} for row in rows]
    with pytest.raises(ValueError, match="not in fieldnames"):
        csv_text(["a"], [{"c": 1}])


def test_a_file_that_cannot_be_finished_is_left_as_it_was(tmp_path, monkeypatch):
    replace_text(tmp_path / "table.csv", "old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_text(tmp_path / "table.csv", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]
    assert (tmp_path / "table.csv").read_text() == "old"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_run_told_on_a_terminal_and_to_a_file():
    lines, bar = io.StringIO(), Terminal()
    telling = Telling(lines, bar)
    telling.progress(Progress(phase="values", message="editing", run_done=1, run_total=4, eta_seconds=130))
    for event in EVENTS:
        telling.event(event)
    telling.end()
    assert "1/4  2 min left  editing" in bar.getvalue()
    assert "round 0/1  a:  efficacy 0.50" in lines.getvalue()
    assert "warning: a, round 1: careful" in lines.getvalue()

    lines, bar = io.StringIO(), io.StringIO()
    telling = Telling(lines, bar)
    telling.progress(Progress(phase="loading", message="Loading the model"))
    for event in EVENTS:
        telling.event(event)
    assert bar.getvalue() == ""
    assert lines.getvalue().splitlines()[0] == "Loading the model"
    assert "2 facts edited in 1.5 s" in lines.getvalue()
    assert lines.getvalue().splitlines()[-1] == "All done."
    telling.end()


def test_a_file_hears_where_long_work_stands_also_while_nothing_is_reported():
    now, lines = [0.0], io.StringIO()
    telling = Telling(lines, io.StringIO(), now=lambda: now[0])

    def at(seconds: float, **progress) -> str:
        now[0] = seconds
        before = len(lines.getvalue())
        if progress:
            telling.progress(Progress(**progress))
        else:
            telling.still()  # as the thread does
        return lines.getvalue()[before:].strip()

    here = {"phase": "values", "lane": "a", "round": 1, "total": 25}
    assert at(0, phase="loading", message="Loading the model") == "Loading the model"
    assert at(SILENT - 1) == ""
    assert at(SILENT) == "… Loading the model (for 20 s)"
    assert at(SILENT + 1) == ""
    assert at(2 * SILENT) == "… Loading the model (for 40 s)"
    assert at(41, **here, done=0, message="a, round 1: editing") == ""
    assert at(51, **here, done=5, message="a, round 1: step 5") == ""
    assert at(61, **here, done=10, message="a, round 1: step 10") == (
        "… a, round 1: step 10 (40%, 30 s left of this step, for 20 s)"
    )
    assert at(81, **here, done=20, message="a, round 1: step 20", eta_seconds=300, run_done=1, run_total=8) == (
        "… a, round 1: step 20 (80%, 12% of the run, 5 min left, for 40 s)"
    )
    telling.end()


def test_no_share_of_nothing_is_told():
    """A run that is taken on again told its first event long ago; where a size is not known, none is said."""
    lines, bar = io.StringIO(), Terminal()
    telling = Telling(lines, bar, rounds=40)
    telling.event(Measured(lane="a", round=17, scores={"efficacy": 0.5}))
    telling.progress(Progress(phase="loading", message="Loading the model"))
    telling.end()
    assert "round 17/40  a:" in lines.getvalue()
    assert "/0" not in bar.getvalue()
    telling = Telling(lines := io.StringIO(), io.StringIO())
    telling.event(Measured(lane="a", round=17, scores={"efficacy": 0.5}))
    assert lines.getvalue().startswith("round 17  a:")


def test_no_time_is_said_to_be_left_where_nothing_is_counted_any_more():
    pace = RunPace({"a": 1, "b": 3}, {"a": 0, "b": 0})
    pace.took("edit", "a", 2.0)
    assert pace.edits_left == 3
    pace.drop("b")
    assert (pace.edits_left, pace.left()) == (0, None)  # facts are asked at the end, which is no edit


def test_what_a_method_notes_is_told_once_a_lane():
    lines = io.StringIO()
    telling = Telling(lines, io.StringIO())
    for number in (1, 2):
        telling.event(
            Edited(lane="a", round=number, facts=[0], seconds={}, layers=[], hash={}, notes=["a null space of 7"])
        )
    assert lines.getvalue().count("note: a: a null space of 7") == 1


def test_a_run_says_which_of_its_lanes_came_to_the_end():
    past = Past([])
    assert past.outcome(["a", "b"]) == ALL_DONE
    past.failed["b"] = 3
    assert past.outcome(["a", "b"]).startswith(
        "All rounds are edited and measured, except for lanes that ended early: b in round 3"
    )
    past.failed["a"] = 1
    assert past.outcome(["a", "b"]).startswith("No lane completed the run; ended early: a in round 1, b in round 3")


def test_a_run_that_goes_on_elsewhere_says_what_is_different():
    started = {"versions": {"torch": "2.12.0"}, "model": {"device": "cpu", "threads": 2}}
    now = {"torch": "2.12.0", "numpy": "2.4", "device": "cpu", "threads": 2}
    assert elsewhere(started, now) is None  # an older run did not note numpy
    moved = elsewhere(started, {**now, "torch": "2.13.0", "threads": 4})
    assert "torch 2.13.0 (before: 2.12.0), threads 4 (before: 2)" in moved.message
    assert (None, moved.about) in Past([moved.as_dict()]).warned


def test_a_run_that_goes_on_on_other_statistics_says_so():
    started = {"versions": {}, "model": {}, "statistics": {"0": "aa", "1": "bb"}}
    assert elsewhere(started, {}, {"0": "aa", "1": "bb", "2": "new"}) is None
    assert elsewhere({"versions": {}, "model": {}}, {}, {"0": "aa"}) is None  # an older run did not note them
    assert "statistics of layers 1 (" in elsewhere(started, {}, {"0": "aa", "1": "cc"}).message
