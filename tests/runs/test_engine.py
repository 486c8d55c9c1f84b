"""The engine on a tiny random model: what it says, what it writes, and that it goes on exactly where it ended."""

import json

import pytest

from core.editing.deltas.ledger import Ledger
from core.editing.stopwatch import PHASES, SETUP, WAITING
from core.measures.warning import Signs
from core.runs.engine import engine
from core.runs.engine.cautions import flagged
from core.runs.engine.laboratory import Laboratory
from core.runs.progress.control import Control, Paused, Stopped
from core.runs.progress.events import from_dict
from core.runs.spec.plan import Past
from core.runs.spec.run_spec import RunSpec
from core.runs.store.folder import RunFolder
from tests.runs.performed import performed, rows

LABELS = ["plain", "guarded"]


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    return Laboratory(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def whole_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("whole")


@pytest.fixture(scope="module")
def whole(laboratory, make_spec, whole_folder):
    return performed(laboratory, make_spec(), whole_folder)


def test_a_run_says_what_happens_in_order(whole):
    assert whole[0]["kind"] == "started"
    assert whole[0]["rounds"] == 3
    assert [lane["label"] for lane in whole[0]["lanes"]] == LABELS
    steps = [
        (event["kind"], event["lane"], event["round"]) for event in whole if event["kind"] in ("edited", "measured")
    ]
    expected = [("measured", label, 0) for label in LABELS]
    expected += [(kind, label, r) for r in (1, 2, 3) for label in LABELS for kind in ("edited", "measured")]
    assert steps == expected
    edited = next(event for event in whole if event["kind"] == "edited" and event["round"] == 2)
    assert edited["facts"] == [2, 3]
    for event in (event for event in whole if event["kind"] == "edited"):
        seconds = dict(event["seconds"])
        total = seconds.pop("total")
        assert {"values", "keys", "solve", "guard", "ledger", "other"} <= set(seconds) <= {*PHASES, SETUP, WAITING}
        assert sum(seconds.values()) == pytest.approx(total)
    assert [row["layer"] for row in edited["layers"]] == [1, 2]
    assert len({tuple(event["hash"].values()) for event in whole if event["kind"] == "edited"}) == 6
    assert all(from_dict(event).as_dict() == event for event in whole)


def test_the_tables_have_their_columns_and_rows(whole, whole_folder):
    rounds = rows(whole_folder / "rounds.csv")
    assert [(row["lane"], row["round"]) for row in rounds] == [(lane, str(r)) for r in range(4) for lane in LABELS]
    assert [row["edits"] for row in rounds[::2]] == ["0", "2", "4", "6"]
    assert all(0 <= float(row[name]) <= 1 for row in rounds for name in ("efficacy", "efficacy_exact", "neighborhood"))
    assert float(rounds[-1]["edit_seconds"]) == pytest.approx(2 * float(rounds[-1]["per_edit_seconds"]))
    layers = rows(whole_folder / "layers.csv")
    assert len(layers) == 4 * 2 * 2
    guarded = [row for row in layers if row["lane"] == LABELS[1] and row["round"] == "3"]
    assert all(float(row["removed_share"]) > 0 and float(row["delta_frobenius"]) > 0 for row in guarded)
    facts = rows(whole_folder / "facts.csv")
    assert [(row["lane"], row["fact"]) for row in facts] == [(lane, str(i)) for lane in LABELS for i in range(6)]
    assert facts[2]["round"] == "2"
    assert facts[2]["subject"] == "Ada Marlow"
    spec = json.loads((whole_folder / "spec.json").read_text())
    assert spec["resolved"]["lanes"][1]["guards"][0]["tau"] == 0.2
    assert spec["resolved"]["statistics"]["1"]["tokens"] == 400
    assert spec["resolved"]["statistics"]["1"]["digest"] == whole[0]["statistics"]["1"] != ""
    assert len((whole_folder / "events.jsonl").read_text().splitlines()) == len(whole)


def test_facts_are_not_asked_for_at_the_end_where_the_spec_says_so(laboratory, make_spec, tmp_path):
    measure = {"tasks": False, "maps": False, "inside": False, "words": 0, "final_words": False}
    events = performed(laboratory, make_spec(measure=measure), tmp_path)
    assert events[-1]["kind"] == "measured"
    assert rows(tmp_path / "facts.csv") == []


def test_a_rounds_keys_are_compared_with_all_before(whole, whole_folder):
    """Against the ledger's keys, a pair at a time in float64."""
    ledger = Ledger(whole_folder / "ledger")
    table = {(row["lane"], row["round"], row["layer"]): row["key_overlap"] for row in rows(whole_folder / "layers.csv")}
    for lane in LABELS:
        for layer in (1, 2):
            keys = [unit(ledger.read(lane, t).keys[layer]) for t in (1, 2, 3)]
            assert table[lane, "0", str(layer)] == table[lane, "1", str(layer)] == ""
            for t in (2, 3):
                best = [max(abs(float(k @ p)) for past in keys[: t - 1] for p in past.T) for k in keys[t - 1].T]
                assert float(table[lane, str(t), str(layer)]) == pytest.approx(sum(best) / len(best), rel=1e-5)


def unit(keys):
    return keys.double() / keys.double().norm(dim=0)


def test_what_keys_overlap_can_warn(whole, make_spec):
    """Live as from the committed events: the sign is in the lane's history, and past its limit counts."""
    past = Past(whole)
    signs = [Signs.of(t, past.scores["plain", t], past.rows(("plain", t))) for t in range(4)]
    assert [one.key_overlap is None for one in signs] == [True, True, False, False]
    edited = [json.loads(json.dumps(event)) for event in whole]
    for event in edited:
        if event["kind"] == "edited" and event["round"] == 3:
            for row in event["layers"]:
                row["key_overlap"] *= 100
        if event["kind"] == "measured":
            for row in event["layers"]:
                row["change"] = 0.0 if event["round"] < 3 else 5.0
            event["scores"] |= {"unedited_recall": 1.0, "perplexity": 3.0}
    (flag,) = flagged(Past(edited), "plain", 3)
    assert "moved by 5 times its norm; new keys overlap earlier ones" in flag.message


def without_seconds(path):
    return [{name: value for name, value in row.items() if not name.endswith("_seconds")} for row in rows(path)]


@pytest.mark.parametrize("stop_after", [2, 5, 6, 9, 12])
def test_a_run_that_ended_anywhere_goes_on_to_the_same_tables(
    laboratory, whole, whole_folder, make_spec, tmp_path, stop_after
):
    first = performed(laboratory, make_spec(), tmp_path / "other", stop_after=stop_after)
    laboratory._session = None  # nothing may live on in memory
    again = performed(laboratory, make_spec(), tmp_path / "other", committed=first)
    assert [event.get("hash") for event in again] == [event.get("hash") for event in whole]
    for table in ("rounds", "layers", "facts"):
        assert without_seconds(tmp_path / "other" / f"{table}.csv") == without_seconds(whole_folder / f"{table}.csv")


@pytest.mark.parametrize("when", [{"every": 2}, {"rounds": [2, 20]}])
def test_measuring_some_rounds_still_measures_the_last(laboratory, make_spec, tmp_path, when):
    measure = {"tasks": False, "maps": False, "inside": False, "words": 0} | when
    events = performed(laboratory, make_spec(measure=measure), tmp_path / "run")
    assert [event["round"] for event in events if event["kind"] == "measured" and event["lane"] == LABELS[0]] == [
        0,
        2,
        3,
    ]
    table = rows(tmp_path / "run" / "rounds.csv")
    assert table[-1]["edits"] == "6"


def test_a_matched_control_follows_its_lane(laboratory, make_spec, tmp_path):
    lane = make_spec()["lanes"][0]
    control = {**lane, "name": "control", "guards": [{"name": "shrink", "match": "guarded"}]}
    spec = make_spec(lanes=[control, *make_spec()["lanes"][1:]], round_size=6)
    events = performed(laboratory, spec, tmp_path / "run")
    assert [event["lane"] for event in events if event["kind"] == "edited"] == ["guarded", "control"]
    assert 0 <= events[-2]["factor"] <= 1
    assert [lane["label"] for lane in events[0]["lanes"]] == ["control", "guarded"]


def test_a_lane_whose_numbers_break_ends_and_the_others_go_on(laboratory, make_spec, tmp_path, monkeypatch):
    from core.editing.failure import EditFailure

    true = engine.edit_round

    def breaks(lm, state, facts, recipe, *rest):
        if recipe.label == LABELS[0] and facts[0].subject == "Ada Marlow":
            raise EditFailure("The edit is not finite.")
        return true(lm, state, facts, recipe, *rest)

    monkeypatch.setattr(engine, "edit_round", breaks)
    events = performed(laboratory, make_spec(), tmp_path / "run")
    last = {label: max(e["round"] for e in events if e["kind"] == "edited" and e["lane"] == label) for label in LABELS}
    assert last == {LABELS[0]: 1, LABELS[1]: 3}
    warned = [event for event in events if event["kind"] == "warned" and event["level"] == "error"]
    assert [(event["lane"], event["round"]) for event in warned] == [(LABELS[0], 2)]


def test_stop_pause_and_step(laboratory, make_spec, tmp_path):
    control = Control()
    control.stop("enough")
    with pytest.raises(Stopped, match="enough"):
        performed(laboratory, make_spec(), tmp_path / "a", control)

    control = Control(give_way=lambda: True)
    control.step(2)
    events = []
    running = engine.run(laboratory, RunSpec.from_dict(make_spec()), RunFolder(tmp_path / "b"), (), control)
    with pytest.raises(Paused):
        events.extend(running)
    assert [event.round for event in events if event.kind == "edited"] == [1, 1, 2, 2]
    assert events[-1].kind == "measured"

    control = Control()
    control.leave("closing")
    with pytest.raises(Paused, match="closing"):
        performed(laboratory, make_spec(), tmp_path / "c", control)


def test_odd_facts_are_pointed_out(laboratory, make_spec, tmp_path):
    items = make_spec()["facts"]["items"]
    events = performed(laboratory, make_spec(facts={"items": [*items[:2], {**items[0], "target": "Oslo"}]}), tmp_path)
    messages = [event["message"] for event in events if event["kind"] == "warned"]
    assert any("contradict earlier ones" in message and '"Oslo"' in message for message in messages)


def test_progress_tells_the_phase_and_the_time_left(laboratory, make_spec, tmp_path):
    seen = []
    performed(laboratory, make_spec(), tmp_path, Control(report=seen.append))
    assert {"loading", "contexts", "values", "layers", "scores", "inside"} <= {progress.phase for progress in seen}
    assert "plain, round 1: layer 1 of 2" in [progress.message for progress in seen]
    assert {progress.run_total for progress in seen if progress.phase == "values"} == {6}
    layers = [progress for progress in seen if progress.message.startswith("plain, round 1: layer ")]
    assert (layers[0].done, layers[0].total) == (1, 2)  # of this round, not of the run
    assert any(progress.eta_seconds for progress in seen)
    assert seen[-1].message == "guarded: asking for every fact"
    assert (seen[-1].run_done, seen[-1].eta_seconds) == (6, None)  # no edit or measurement is left to tell by


def test_what_r_k_and_perplexity_are_read_on_is_told_at_the_start(laboratory, make_spec, tmp_path):
    measure = {"tasks": False, "maps": False, "words": 0, "final_words": False, "probe_rows": 64}
    events = performed(laboratory, make_spec(measure=measure), tmp_path / "bare")
    started = events[0]
    own = "text that the unedited model itself sampled"
    assert started["lacking"] == {}
    assert started["reads"]["drift"].endswith(own)  # all of its facts are edited: there are no statements of others
    assert started["reads"]["perplexity"] == f"256 tokens of {own}"
    assert float(rows(tmp_path / "bare" / "rounds.csv")[0]["perplexity"]) > 1


def test_other_texts_than_before_are_told(laboratory, make_spec, tmp_path):
    file = tmp_path / "prose.txt"
    file.write_text("\n".join(f"The sea of France is number {i}." for i in range(60)))
    measure = {"tasks": False, "maps": False, "words": 0, "final_words": False, "probe_rows": 64, "texts": str(file)}
    spec = make_spec(measure=measure)
    events = performed(laboratory, spec, tmp_path / "run")
    assert " tokens of the text file prose.txt (" in events[0]["reads"]["drift"]
    assert [control["layer"] for control in events[0]["controls"]] == [1, 2]
    file.write_text("\n".join(f"The river of Italy is number {i}." for i in range(60)))
    again = performed(laboratory, spec, tmp_path / "run", committed=events[:6])
    assert any(event["kind"] == "warned" and "other texts" in event["message"] for event in again)


def test_a_run_that_goes_on_elsewhere_says_so_once(laboratory, whole, make_spec, tmp_path):
    before = json.loads(json.dumps(whole))
    before[0]["versions"]["torch"] = "0.1"
    told = performed(laboratory, make_spec(), tmp_path / "moved", committed=before)[len(before) :]
    assert [event["kind"] for event in told] == ["warned"]
    assert "(before: 0.1)" in told[0]["message"]
    assert performed(laboratory, make_spec(), tmp_path / "moved", committed=[*before, *told]) == [*before, *told]


def test_an_edit_without_effect_is_told_once_a_lane(laboratory, make_spec, tmp_path):
    lane = make_spec()["lanes"][0]
    lanes = [
        {**lane, "name": "nothing", "guards": [{"name": "shrink", "factor": 0.0}]},
        {**lane, "name": "pruned", "guards": [{"name": "prune"}]},
    ]
    measure = {"tasks": False, "maps": False, "inside": False, "words": 0, "final_words": False}
    events = performed(laboratory, make_spec(lanes=lanes, measure=measure), tmp_path / "run")
    told = [(event["lane"], event["round"], event["about"]) for event in events if event["kind"] == "warned"]
    assert told.count(("nothing", 1, "no change")) == 1
    assert ("pruned", 3, "not guarded") in told
    assert len(set(told)) == len(told)
    assert len({(lane, about) for lane, _, about in told if lane}) == len([one for one in told if one[0]])
