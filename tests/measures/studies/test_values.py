from dataclasses import replace

import pytest
import torch

from core.editing.deltas.ledger import Ledger
from core.editing.values.keys import prompts, states
from core.measures.inside.maps import principal_components
from core.measures.outside.tasks import Tasks
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
        assert [row["state"] for row in table if row["round"] == 1] == [kind for kind in kinds for _ in range(3)]
        assert [row["state"] for row in table if row["round"] == 3] == [kind for kind in kinds for _ in range(9)]
        assert sum(row["x"] for row in table) == pytest.approx(0, abs=1e-9)
    last = rows(found.tables["same_keys_map"], cohort=3, round=3)
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
    assert found.notes[0] == "its rounds recorded no values to aim at: only the keys' outputs are compared"
    assert found.tables["map"] == found.tables["reached"] == []
    assert sum(row["facts"] for row in found.tables["kept"]) == 4
    assert {chart.table for chart in found.charts} == {"kept", "drift", "same_keys_map"}
    assert "recorded no values" in found.as_dict()["empty"]["map"]
    assert "measures no tasks" in found.as_dict()["empty"]["task_keys_map"]


def test_each_round_is_read_at_the_layer_that_it_edited(choosing):
    case, updates = choosing
    found = Values().run(case, [1, 2, 3])
    well_formed(found)
    for t, layer in ((1, 1), (2, 2), (3, 1)):
        (row,) = rows(found.tables["reached"], round=t, cohort=t)
        assert row["layer"] == layer
        assert row["missing"] == pytest.approx(updates[t].residual_after[layer], rel=1e-6)
        (row,) = rows(found.tables["kept"], round=t, cohort=t)
        assert row["moved"] < 1e-9
    assert {row["layer"] for row in found.tables["map"]} == {1, 2}
    assert "these differ (MOSE: 1, 2): on a map compare like layers" in found.protocol


def test_lanes_and_rounds_share_one_embedding(plain_case, choosing):
    cases = {"plain": plain_case, "chosen": choosing[0]}
    found = Values().compared(cases, {"plain": [1, 3], "chosen": [2]})
    clouds, wanted = [], {"plain": (1, 3), "chosen": (2,)}
    for lane, rounds in wanted.items():
        case = cases[lane]
        for t in rounds:
            outputs = {name: [] for name in ("unedited", "after its edit", "now")}
            for e in range(1, t + 1):
                layer = case.layers_of(e)[-1]
                key = case.update(e).keys[layer]
                for name, at in zip(outputs, (0, e, t), strict=True):
                    outputs[name].append((case.matrix(at, layer) @ key).T)
            clouds += [torch.cat(parts) for parts in outputs.values()]
    expected, _ = principal_components(torch.cat(clouds))
    drawn = [row for lane in cases for row in found[lane].tables["same_keys_map"]]
    places = torch.tensor([[row["x"], row["y"]] for row in drawn], dtype=torch.float64)
    torch.testing.assert_close(places, expected, rtol=0, atol=1e-8)
    assert "one embedding" in found["plain"].protocol
    assert found["plain"].tables["map"]


def test_keys_of_task_texts_beside_keys_of_edits(plain_case):
    names = [str(plain_case.assets / "pocket" / "tasks")]
    case = replace(plain_case, tasks=names, task_limit=3)
    found = Values().run(case, [1, 3])
    well_formed(found)
    texts = Tasks.build(case.lm, names, 3, case.seed).prompts
    assert len(texts) == 6
    sent = []
    for t in (0, 3):
        outputs = []
        with case.lm.worn({}):  # keys are those of the unedited model
            for text in texts:
                kept = []
                hook = case.lm.down(2).register_forward_pre_hook(lambda _, args, kept=kept: kept.append(args[0][0, -1]))
                case.lm.model(torch.tensor([case.lm.encode(text)]))
                hook.remove()
                outputs.append(case.matrix(t, 2) @ kept[0])
        sent.append(torch.stack(outputs))
    away = (sent[1] - sent[0]).norm(dim=1) / sent[0].norm(dim=1)
    (row,) = rows(found.tables["drift"], round=3, keys="of task texts")
    assert (row["count"], row["layers"]) == (6, "2")
    assert row["away"] == pytest.approx(float(away.mean()), rel=1e-6)
    (row,) = rows(found.tables["drift"], round=1, keys="of the edits")
    assert row["away"] < 1e-9
    assert [row["state"] for row in found.tables["task_keys_map"]] == (["unedited"] * 6 + ["now"] * 6) * 2
    assert "task_keys_map" in {chart.table for chart in found.charts}


def test_tasks_that_cannot_be_had_are_told(plain_case, tmp_path):
    (tmp_path / "broken.jsonl").write_text("{}\n")
    found = Values().run(replace(plain_case, tasks=[str(tmp_path)]), [1])
    assert "no keys of task texts: " in found.empty["task_keys_map"]
    assert "a task row is" in found.notes[-1]
