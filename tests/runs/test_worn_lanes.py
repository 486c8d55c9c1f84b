"""Runs of lanes that wear more than matrices: events, tables, continuation after a crash, branches, exports."""

import pytest

from core.errors import UserError
from core.runs.engine.laboratory import Laboratory
from core.runs.export.options import ExportOptions
from core.runs.export.weights import export_weights
from core.runs.opened.run import OpenedRun
from tests.runs.conftest import LANE
from tests.runs.performed import performed, rows

pytestmark = pytest.mark.slow

LANES = [
    {"method": "icl", "name": "told"},
    {"method": "scr", "name": "found", "retriever": "states", "threshold": -1.0},
    {"method": "grace", "name": "booked", "layers": [2], "steps": 5, "contexts": 1},
    {"method": "melo", "name": "switched", "layers": [1, 2], "steps": 5, "contexts": 1, "per_block": 1},
    {"method": "wise", "name": "beside", "layers": [2], "steps": 3, "contexts": 0, "shard": 2, "merge": 4},
    {"method": "serac", "name": "scoped", "steps": 2, "taught": 6, "batch": 2, "threshold": 0.0},
    {**LANE, "name": "both", "wrapper": {"name": "scr", "threshold": 0.0}},
]
NAMES = [lane["name"] for lane in LANES]
READ = ["told", "found", "scoped"]  # lanes that change what is read
HOOKED = {"booked": {2}, "switched": {1, 2}, "beside": {2}}  # lanes that change states, and where
BARE = [*READ, *HOOKED]  # and those that change no weights


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    return Laboratory(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def spec(make_spec):
    made = make_spec(lanes=LANES)
    return made | {"measure": made["measure"] | {"maps": "pca"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("worn")


@pytest.fixture(scope="module")
def whole(laboratory, spec, folder):
    return performed(laboratory, spec, folder)


def of(events, kind, lane):
    return [event for event in events if event["kind"] == kind and event["lane"] == lane]


def test_lanes_without_weights_are_scored_and_say_what_is_undefined(whole, folder):
    told = of(whole, "measured", "told")[-1]["scores"]
    base = of(whole, "measured", "told")[0]["scores"]
    assert told["edits"] == 6
    assert told["efficacy"] is not None
    assert told["efficacy"] >= base["efficacy"]
    said = [event for event in whole if event["kind"] == "warned" and event["level"] == "info"]
    assert {event["lane"] for event in said if "undefined for this lane, not zero" in event["message"]} == set(BARE)
    for lane in BARE:
        inside = ("layers", "drift", "map", "more_maps") if lane in READ else ()
        for event in of(whole, "measured", lane):
            assert not any(event[part] for part in ("spectra", "similarity", *inside))
        assert all(event["layers"] == [] for event in of(whole, "edited", lane))
    for lane, layers in HOOKED.items():  # what acts on states has R_k and a map
        for event in of(whole, "measured", lane):
            assert {row["layer"] for row in event["layers"]} == layers
            assert all(name == "layer" or name.startswith("rk_") for row in event["layers"] for name in row)
            assert event["drift"]
            assert event["map"]
    assert all(event["layers"] and event["map"] for event in of(whole, "measured", "both"))
    assert {row["lane"] for row in rows(folder / "layers.csv")} == {"both", *HOOKED}


def test_panels_say_why_nothing_is_drawn_where_no_lane_has_it(laboratory, make_spec, tmp_path):
    from core.charts.panel import filled
    from core.panels import get

    spec = make_spec(lanes=[LANES[0]], round_size=6)
    events = performed(laboratory, spec, tmp_path)
    assert events[-1]["kind"] == "measured"
    for key in ("energy", "similarity", "directions"):
        assert "No lane of this run changes weights" in filled(get(key), events).lacking
    for key in ("map", "drift"):
        assert "not its states" in filled(get(key), events).lacking
    assert filled(get("scores"), events).lacking == ""


def test_words_are_said_with_what_is_worn(laboratory, whole, folder):
    run = OpenedRun(folder, laboratory)
    fact = run.facts.edit[5]
    for lane in (*READ, "both"):
        with run.lane(lane).at(3).worn():
            asked = run.lm.asked(fact.text)
        assert asked.endswith(f". {fact.text}")
        assert run.lm.asked(fact.text) == fact.text
        assert of(whole, "measured", lane)[-1]["words"]


def test_opened_states_have_the_recorded_bits(laboratory, whole, folder):
    run = OpenedRun(folder, laboratory)
    for lane in NAMES:
        noted = {event["round"]: event["hash"] for event in of(whole, "edited", lane)}
        assert all("memory" in found for found in noted.values())
        assert len({found["memory"] for found in noted.values()}) == 3
        for number, found in noted.items():
            assert (
                run.lane(lane).at(number).state.digests([int(layer) for layer in found if layer != "memory"]) == found
            )


@pytest.mark.parametrize("stop_after", [16, 25])
def test_a_run_that_was_killed_goes_on_to_the_same_bits(laboratory, whole, folder, spec, tmp_path, stop_after):
    """The events up to one of them, and a new laboratory: nothing of what was in memory is left."""
    first = performed(laboratory, spec, tmp_path, stop_after=stop_after)
    again = performed(Laboratory(laboratory.home), spec, tmp_path, committed=first)
    assert [event.get("hash") for event in again] == [event.get("hash") for event in whole]
    for one, other in zip(rows(tmp_path / "rounds.csv"), rows(folder / "rounds.csv"), strict=True):
        assert {n: v for n, v in one.items() if "seconds" not in n} == {
            n: v for n, v in other.items() if "seconds" not in n
        }


def test_a_branch_remembers_what_its_parent_did(laboratory, spec, tmp_path):
    lanes = [LANES[1], {"method": "scr", "name": "branch", "threshold": 0.0, "from": {"lane": "found", "round": 1}}]
    events = performed(laboratory, spec | {"lanes": lanes}, tmp_path)
    run = OpenedRun(tmp_path, laboratory)
    with run.lane("branch").at(3).worn():
        asked = [run.lm.asked(fact.text) for fact in run.facts.edit]
    assert all(text.endswith(f"{fact.target}. {fact.text}") for text, fact in zip(asked, run.facts.edit, strict=True))
    assert [event["round"] for event in of(events, "edited", "branch")] == [2, 3]


def test_studies_read_what_is_worn_or_say_why_not(laboratory, whole, folder):
    from core.runs.opened.study import study

    run = OpenedRun(folder, laboratory)
    scored = study(run, "scores", {}, NAMES)
    table = next(rows for rows in scored["tables"].values() if rows)
    assert {row["lane"] for row in table} == set(NAMES)
    assert scored["notes"] == []
    with pytest.raises(UserError, match="told changes no weights"):
        study(run, "blocks", {}, READ)
    cost = study(run, "cost", {"tokens": 2, "prompts": 3}, NAMES)
    assert {row["lane"] for row in cost["tables"]["latency"]} == set(NAMES)
    kept = {row["lane"]: row["remembered_bytes"] for row in cost["tables"]["growth"]}
    state = run.lane("booked").at(3).state
    assert kept["booked"] == sum(tensor.nbytes for tensor in state.memory.values())
    assert all(kept[lane] > 0 for lane in NAMES)
    mixed = study(run, "blocks", {}, ["booked", "both"])
    assert mixed["lanes"] == ["both"]
    assert mixed["notes"][0].startswith("booked changes no weights")
    with pytest.raises(UserError, match="found changes no states"):
        study(run, "lens", {}, ["found"])


def test_weights_are_exported_where_there_are_some(laboratory, whole, folder, tmp_path):
    run = OpenedRun(folder, laboratory)
    for lane in BARE:
        with pytest.raises(UserError, match="changes no weights"):
            export_weights(run.lane(lane).at(3), "factors", tmp_path / lane, ExportOptions())
    about = export_weights(run.lane("both").at(3), "factors", tmp_path / "both", ExportOptions())
    assert about["same_bits"]
    assert "sentences" in about["besides"]
