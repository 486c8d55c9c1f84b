"""Single edits: every round is edited on the unedited model, asked in its own state, and nothing of it stays."""

import pytest

from core.charts.panel import filled
from core.errors import UserError
from core.measures.outside.scores import Answers, score_facts, summarise
from core.panels import get
from core.runs.engine.laboratory import Laboratory
from core.runs.opened.remeasure import Again, remeasure
from core.runs.opened.run import OpenedRun
from core.runs.spec.problems import SpecError
from core.runs.spec.run_spec import RunSpec
from tests.runs.conftest import FACTS, LANE
from tests.runs.performed import performed, rows
from tests.runs.test_engine import without_seconds

pytestmark = pytest.mark.slow

COUNT = 3
LANES = [
    {**LANE, "name": "keys", "history": True},
    {"method": "lora", "name": "adapter", "layers": [1], "steps": 3, "lr": 0.01},
    {"method": "grace", "name": "book", "layers": [2], "steps": 5, "contexts": 1},
]


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    return Laboratory(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def spec(make_spec):
    """Facts one by one under lanes that remember earlier rounds where there are any."""
    made = make_spec(lanes=LANES, protocol="single", facts={"items": FACTS[:COUNT]})
    made.pop("round_size")
    measure = {"rounds": [1], "generated": 2, "answer_tokens": 3, "words": 2, "inside": False}
    return made | {"measure": made["measure"] | measure}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("single")


@pytest.fixture(scope="module")
def whole(laboratory, spec, folder):
    return performed(laboratory, spec, folder)


def hashes(events):
    return {(e["lane"], tuple(e["facts"])): e["hash"] for e in events if e["kind"] == "edited"}


def test_each_fact_is_a_round_and_those_of_the_list_are_measured(whole):
    assert RunSpec.from_dict({"facts": {"source": "pocket"}, "lanes": [LANE], "protocol": "single"}).round_size == 1
    assert whole[0]["protocol"] == "single"
    assert whole[0]["rounds"] == COUNT
    assert [e["round"] for e in whole if e["kind"] == "measured" and e["lane"] == "keys"] == [0, 1, COUNT]
    assert all(event["facts"] == [event["round"] - 1] for event in whole if event["kind"] == "edited")


def test_nothing_of_an_edit_stays_for_the_next(laboratory, spec, whole, tmp_path):
    """The same facts in another order give the same weights, codebooks and adapters, fact by fact."""
    turned = performed(laboratory, spec | {"facts": {"items": FACTS[:COUNT][::-1]}}, tmp_path / "turned")
    there = {(lane, (COUNT - 1 - place,)): found for (lane, (place,)), found in hashes(turned).items()}
    assert hashes(whole) == there
    assert len({str(found) for found in hashes(whole).values()}) == COUNT * len(LANES)


def test_scores_are_means_over_the_states_right_after_each_edit(laboratory, whole, folder):
    run = OpenedRun(folder, laboratory)
    for label in run.labels:
        for last in (1, COUNT):
            plain = []
            for number in range(1, last + 1):
                at = run.lane(label).at(number)
                assert at.state.digests([int(n) for n in at.event["hash"] if n != "memory"]) == at.event["hash"]
                with at.worn():
                    plain += score_facts(Answers(run.lm), [run.facts.edit[number - 1]], 2, 2)
            found = next(
                e["scores"] for e in whole if e["kind"] == "measured" and (e["lane"], e["round"]) == (label, last)
            )
            expected = summarise(plain)
            assert {name: found[name] for name in expected} == pytest.approx(expected)
            assert (found["edits"], found["scored"], found["generated"]) == (last, last, min(2, last))
            assert "efficacy_when_edited" not in found


@pytest.mark.parametrize("order", [(3, 1, 2)])
def test_states_are_those_of_the_run_in_whatever_order(laboratory, whole, folder, order):
    run = OpenedRun(folder, laboratory)
    laboratory.recent.clear()
    for number in order:
        at = run.lane("keys").at(number)
        assert {str(layer): at.state.digest(layer) for layer in at.state.weights} == at.event["hash"]
        assert run.lane("keys").edited_by(number) == [number - 1]
        assert run.ledger.rebuild(run.lm, "keys", (1, 2), number).digests((1, 2)) == at.event["hash"]
        left = run.ledger.rebuild(run.lm, "keys", (1, 2), number, without=[number])
        assert all((left.weights[layer] == run.lm.original(layer)).all() for layer in (1, 2))
    assert run.lane("keys").edited_by(0) == []


def test_it_goes_on_where_it_ended(laboratory, spec, whole, folder, tmp_path):
    first = performed(laboratory, spec, tmp_path / "other", stop_after=10)
    laboratory._session = None
    again = performed(laboratory, spec, tmp_path / "other", committed=first)
    assert hashes(again) == hashes(whole)
    for table in ("rounds", "facts"):
        assert without_seconds(tmp_path / "other" / f"{table}.csv") == without_seconds(folder / f"{table}.csv")


def test_rounds_are_measured_again_as_they_were(laboratory, whole, folder):
    written, _ = remeasure(OpenedRun(folder, laboratory), "0,1,3", ["keys"], Again(name="more"))
    first = {row["round"]: row for row in without_seconds(folder / "rounds.csv") if row["lane"] == "keys"}
    again = {row["round"]: row for row in without_seconds(written)}
    assert set(again) == {"0", "1", "3"}
    for number, row in again.items():
        names = [name for name, value in row.items() if value]
        assert "efficacy_free_contains" in names
        assert {name: row[name] for name in names} == {name: first[number][name] for name in names}


def test_tables_and_panels_say_the_protocol(whole, folder):
    assert {row["protocol"] for row in rows(folder / "rounds.csv")} == {"single"}
    assert [row["round"] for row in rows(folder / "facts.csv") if row["lane"] == "keys"] == ["1", "2", "3"]
    assert "single edits" in filled(get("scores"), whole).protocol


def test_lanes_cannot_branch(make_spec):
    branch = {**LANE, "name": "branch", "from": {"lane": "plain", "round": 1}}
    with pytest.raises(SpecError, match=r"lanes\[2\]\.from: single edits begin with the unedited model"):
        RunSpec.from_dict(make_spec(protocol="single", lanes=[*make_spec()["lanes"], branch]))
    with pytest.raises(UserError, match="protocol: "):
        RunSpec.from_dict(make_spec(protocol="alone"))
