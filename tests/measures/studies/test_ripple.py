import torch

from core.measures.studies.ripple import Ripple


def answer(lm, prompt, count):
    ids = lm.encode(prompt)
    head = len(ids)
    for _ in range(count):
        with torch.no_grad():
            ids = [*ids, int(lm.model(torch.tensor([ids])).logits[0, -1].argmax())]
    return ids[head:]


def test_changes_are_those_of_plain_generation(plain_case):
    found = Ripple().run(plain_case, [1, 3])
    lm = plain_case.lm
    for at in (1, 3):
        changed = set()
        for index, fact in enumerate(plain_case.unedited):
            count = len(lm.encode(f"{fact.text} {fact.target}")) - len(lm.encode(fact.text))
            before = answer(lm, fact.text, count)
            with lm.worn(plain_case.weights(at)):
                after = answer(lm, fact.text, count)
            if before != after:
                changed.add(index)
        assert {row["fact"] for row in found.tables["changed"] if row["round"] == at} == changed
        (every,) = [row for row in found.tables["counts"] if row["tie"] == "all" and row["round"] == at]
        assert (every["changed"], every["facts"]) == (len(changed), len(plain_case.unedited))
    assert found.tables["changed"]  # the toy does ripple
    ties = {row["tie"] for row in found.tables["counts"] if row["round"] == 3}
    assert {"same subject", "same object", "all"} <= ties  # people who also work; capitals that are birthplaces now


def test_a_null_edit_ripples_nowhere(null_case):
    found = Ripple().run(null_case, [3])
    assert found.tables["changed"] == []
    assert all(row["changed"] == 0 for row in found.tables["counts"])


def test_no_unedited_facts(plain_case):
    from dataclasses import replace

    found = Ripple().run(replace(plain_case, unedited=[]), [1])
    assert found.notes == ["this run has no unedited facts to test"]
    assert found.tables["counts"] == []
