from dataclasses import replace

import pytest

from core.errors import UserError
from core.measures.outside.perplexity import perplexity
from core.measures.outside.texts import Texts
from core.measures.studies.cost import Cost, latency
from core.measures.studies.perplexity import Perplexity
from tests import toys


def test_latency_of_both_models(plain_case, monkeypatch):
    monkeypatch.setattr(latency, "seconds", lambda lm, prompts, count: [0.5 if lm._wearing else 0.25])
    found = Cost(tokens=10, prompts=4).run(plain_case, [0, 2])
    rows = {row["round"]: row for row in found.tables["latency"]}
    assert rows[0]["ratio"] == 1.0
    assert (rows[2]["ratio"], rows[2]["low"], rows[2]["high"]) == (2.0, 2.0, 2.0)
    assert rows[2]["tokens_per_second"] == 20.0
    assert found.tables["memory"][0]["peak_mib"] > 50
    (grown,) = found.tables["growth"]
    assert grown["remembered_bytes"] == 0  # nothing besides matrices
    assert grown["edits"] == len(plain_case.edited(2))
    files = [plain_case.ledger.path(plain_case.lane, number) for number in (1, 2)]
    assert grown["ledger_per_edit"] == sum(len(file.read_bytes()) for file in files) / grown["edits"]


def test_real_seconds_and_what_the_run_noted(plain_case, monkeypatch):
    monkeypatch.setattr(latency, "WARM_UP", 1)
    scores = {0: {"measure_seconds": 1.5, "edit_seconds": None}, 1: {"measure_seconds": 2.0, "edit_seconds": 9.0}}
    phases = {1: {"values": 6.0, "solve": 3.0, "guard": 0.0, "setup": 40.0, "waiting": 1.0, "total": 50.0}}
    found = Cost(tokens=200, prompts=3).run(replace(plain_case, scores=scores, seconds=phases), [1])
    assert found.notes == ["64 instead of 200 tokens: the model reads 128 at most"]
    (row,) = found.tables["latency"]
    assert 0 < row["unedited_seconds"] < 10
    assert row["low"] <= row["ratio"] <= row["high"]
    assert found.tables["rounds"] == [
        {"round": 0, "what": "measures", "seconds": 1.5},
        {"round": 1, "what": "edits since the last measurement", "seconds": 9.0},
        {"round": 1, "what": "measures", "seconds": 2.0},
    ]
    edits = len(plain_case.cohorts[0])
    assert found.tables["phases"] == [
        {"round": 1, "phase": phase, "per_edit_seconds": seconds / edits}
        for phase, seconds in (("all", 9.0), ("values", 6.0), ("solve", 3.0))
    ]
    assert [(chart.table, chart.y) for chart in found.charts] == [("latency", "ratio"), ("phases", "per_edit_seconds")]


def test_perplexity_over_rounds(plain_case):
    found = Perplexity(tokens=60).run(plain_case, [0, 3])
    rows = {row["round"]: row for row in found.tables["perplexity"]}
    assert rows[0]["times"] == 1.0
    with plain_case.lm.worn(plain_case.weights(3)):
        assert rows[3]["perplexity"] == perplexity(plain_case.lm, toys.SENTENCES, 60)
    assert rows[3]["tokens"] == 60
    assert found.charts[0].line == rows[0]["perplexity"]
    with pytest.raises(UserError, match="needs text"):
        Perplexity().run(replace(plain_case, texts=Texts()), [0])
