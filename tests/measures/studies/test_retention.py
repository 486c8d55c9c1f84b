import pytest

from core.measures.outside.metrics import about_edit, metric_values, rate_answers
from core.measures.studies.retention import Retention


def plainly(case, cohort, at, name, kind):
    """The mean score of a cohort's facts at a round, fact by fact."""
    values = []
    with case.lm.worn(case.weights(at)):
        for i in case.cohorts[cohort - 1]:
            own = []
            for asked in about_edit(i, case.facts[i]):
                if asked.kind == kind:
                    value = metric_values(asked, rate_answers(case.lm, asked.pairs))[name]
                    own += [value] if value is not None else []
            values += [sum(own) / len(own)] if own else []
    return sum(values) / len(values) if values else None


@pytest.mark.parametrize("kind", ["edit", "paraphrase"])
def test_every_cohort_at_every_round(case, kind):
    told = []
    case.progress = lambda done, total: told.append((done, total))
    try:
        found = Retention(facts=None, ask=kind, before=True).run(case, [1, 3])
    finally:
        case.progress = None
    assert told[0] == (0, 2)
    assert told[-1] == (2, 2)
    cells = {(row["sense"], row["cohort"], row["round"]): row for row in found.tables["matrix"]}
    assert len(cells) == 3 * 3 * 2
    for (name, cohort, at), row in cells.items():
        assert row["value"] == pytest.approx(plainly(case, cohort, at, name, kind))
        assert row["age"] == at - cohort
    # fact 7 has no old object, so cohort 3 has one fact less to compare; it has no paraphrases either
    assert cells["probability", 3, 3]["facts"] == 2
    assert cells["exact", 3, 3]["facts"] == (3 if kind == "edit" else 2)
    assert {chart.table for chart in found.charts} <= set(found.tables)


def test_curve_is_made_of_the_matrix(case):
    found = Retention(facts=None).run(case, [1, 2, 3])
    assert not [row for row in found.tables["matrix"] if row["age"] < 0]
    rows = [row for row in found.tables["matrix"] if row["sense"] == "tokens"]
    for point in found.tables["forgetting"]:
        if point["sense"] == "tokens":
            same = [row for row in rows if row["age"] == point["age"]]
            assert point["value"] == pytest.approx(sum(r["value"] * r["facts"] for r in same) / point["facts"])
            assert point["cohorts"] == len(same)
    assert [row["sense"] for row in found.tables["half_life"]] == ["probability", "tokens", "exact"]


def test_what_cannot_be_told_is_said(case):
    assert "no age 0" in Retention().run(case, [0]).notes[0] or "no cohort" in Retention().run(case, [0]).notes[0]
    late = Retention(facts=1).run(case, [2, 3])
    assert {row["cohort"] for row in late.tables["matrix"]} == {1, 2, 3}
    assert all(row["facts"] <= 1 for row in late.tables["matrix"])
