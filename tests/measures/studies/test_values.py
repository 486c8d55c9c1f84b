from dataclasses import replace

import pytest
import torch

from core.editing.keys import prompts, states
from core.editing.ledger import Ledger
from core.measures.studies.values import Values
from tests.measures.studies.checks import well_formed


@pytest.fixture(scope="module")
def found(plain_case):
    return Values().run(plain_case, [1, 3])


def rows(table, **wanted):
    return [row for row in table if all(row[name] == value for name, value in wanted.items())]


def test_what_is_missing_equals_a_plain_computation(found, plain_case):
    case = plain_case
    well_formed(found)
    assert [(row["round"], row["cohort"]) for row in found.tables["reached"]] == [(1, 1), (3, 1), (3, 2), (3, 3)]
    for t, cohort in ((1, 1), (3, 2)):
        update = case.update(cohort)
        facts = [case.facts[i] for i in case.cohorts[cohort - 1]]
        with case.lm.worn(case.weights(t)):
            now = states(case.lm, prompts(case.lm, facts, ()), 2)
        missing = (now - update.target).norm(dim=0) / (update.target - update.start).norm(dim=0)
        (row,) = rows(found.tables["reached"], round=t, cohort=cohort)
        assert row["missing"] == pytest.approx(float(missing.mean()), rel=1e-9)
        assert (row["least"], row["most"]) == pytest.approx((float(missing.min()), float(missing.max())), rel=1e-9)
        assert row["facts"] == 3


def test_same_keys_tell_what_the_weights_still_give(found, plain_case):
    case = plain_case
    key = case.update(2).keys[2]
    moved = ((case.matrix(3, 2) - case.matrix(2, 2)) @ key).norm(dim=0)
    moved = moved / ((case.matrix(2, 2) - case.matrix(1, 2)) @ key).norm(dim=0)
    (row,) = rows(found.tables["kept"], round=3, cohort=2)
    assert row["moved"] == pytest.approx(float(moved.mean()), rel=1e-8)
    (fresh,) = rows(found.tables["kept"], round=3, cohort=3)
    assert fresh["moved"] < 1e-9


def test_maps_are_of_all_states_together(found, plain_case):
    for name, kinds in (
        ("map", ["before its edit", "aimed at", "now"]),
        ("same_keys_map", ["unedited", "after its edit", "now"]),
    ):
        table = found.tables[name]
        assert [row["state"] for row in table] == [kind for kind in kinds for _ in range(9)]
        assert sum(row["x"] for row in table) == pytest.approx(0, abs=1e-9)
    last = [row for row in found.tables["same_keys_map"] if row["cohort"] == 3]
    after, now = (rows(last, state=state) for state in ("after its edit", "now"))
    for one, other in zip(after, now, strict=True):
        assert (one["x"], one["y"]) == pytest.approx((other["x"], other["y"]), abs=1e-9)


def test_a_null_edit_reaches_nothing(null_case):
    found = Values().run(null_case, [3])
    well_formed(found)
    first = null_case.update(1)
    with null_case.lm.worn({}):
        facts = [null_case.facts[i] for i in null_case.cohorts[0]]
        start = states(null_case.lm, prompts(null_case.lm, facts, ()), 2)
    torch.testing.assert_close(first.start, start, rtol=0, atol=1e-9)
    assert rows(found.tables["reached"], cohort=1)[0]["missing"] == pytest.approx(1, abs=1e-9)
    assert all(row["moved"] is None for row in found.as_dict()["tables"]["kept"])  # nothing was written: no scale


def test_methods_without_values_and_fewer_points(plain_case, tmp_path):
    ledger = Ledger(tmp_path)
    for t in (1, 2, 3):
        ledger.append(plain_case.lane, t, replace(plain_case.update(t), start=None, target=None))
    found = Values(points=4).run(replace(plain_case, ledger=ledger), [3])
    assert found.notes == ["this method aims at no values: only the keys' outputs are compared"]
    assert found.tables["map"] == found.tables["reached"] == []
    assert sum(row["facts"] for row in found.tables["kept"]) == 4
    assert {chart.table for chart in found.charts} == {"kept", "same_keys_map"}
