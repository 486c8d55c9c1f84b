import pytest
import torch

from core.errors import UserError
from core.measures.inside.maps import align
from core.measures.studies.maps import Maps
from core.measures.studies.maps.mmd import mmd_test
from core.models.forward import activations
from tests.measures.studies.checks import well_formed


def rows(table, **wanted):
    return [row for row in table if all(row[name] == value for name, value in wanted.items())]


def states(case, weights, facts, layer=2):
    placed = [case.lm.slot_last(fact.prompt, fact.subject) for fact in facts]
    with case.lm.worn(weights):
        return activations(case.lm, [t for t, _ in placed], [p for _, p in placed], [layer], "block")[layer]


@pytest.fixture(scope="module")
def found(plain_case):
    return Maps(points=18).run(plain_case, [1, 3])


def test_the_map_is_the_joint_layout_of_both_states(found, plain_case):
    well_formed(found)
    before = states(plain_case, {}, plain_case.facts)
    (distance,) = rows(found.tables["distance"], pair="before – after round 3", group="edited")
    after = states(plain_case, plain_case.weights(3), plain_case.facts)
    expected = mmd_test(before, after, paired=True)
    assert (distance["mmd2"], distance["p"]) == pytest.approx((expected.mmd2, expected.p))
    assert distance["moved"] == pytest.approx(float((after - before).norm(dim=1).mean()))
    assert distance["prompts"] == 9
    assert "18 prompts (9 about facts edited by round 3, 9 about unedited ones)" in found.protocol
    first = rows(found.tables["map"], round=1)
    assert [row["state"] for row in first].count("before") == 18
    assert [row["state"] for row in first].count("after: edited") == 3
    assert [row["state"] for row in first].count("after: to be edited") == 6
    assert [row["state"] for row in first].count("after: unedited") == 9


def test_a_single_update_is_the_base_weight_with_that_round_alone(found, plain_case):
    single = []
    for t, cohort in enumerate(plain_case.cohorts, 1):
        update = plain_case.update(t).updates
        weights = {layer: plain_case.lm.original(layer) + update[layer].dense() for layer in plain_case.layers}
        single.append(states(plain_case, weights, [plain_case.facts[f] for f in cohort]))
    together = states(plain_case, plain_case.weights(3), plain_case.facts)
    (row,) = rows(found.tables["distance"], pair="its own round's update – all updates")
    assert row["moved"] == pytest.approx(float((together - torch.cat(single)).norm(dim=1).mean()), rel=1e-8)
    assert row["mmd2"] == pytest.approx(mmd_test(torch.cat(single), together, paired=True).mmd2, abs=1e-9)
    drawn = found.tables["single"]
    assert [row["state"] for row in drawn] == [
        state for state in ("before", "its own round's update", "all updates") for _ in range(9)
    ]


def test_densities_have_area_one(found):
    for where in ("round 3, first axis", "one and all, second axis"):
        for state in {row["state"] for row in rows(found.tables["density"], where=where)}:
            curve = rows(found.tables["density"], where=where, state=state)
            step = curve[1]["at"] - curve[0]["at"]
            assert sum(row["density"] for row in curve) * step == pytest.approx(1, abs=0.1)


def test_rounds_follow_one_another(plain_case):
    one = Maps(points=18).run(plain_case, [1, 2]).tables["map"]
    before = {t: torch.tensor([[r["x"], r["y"]] for r in rows(one, round=t, state="before")]) for t in (1, 2)}
    torch.testing.assert_close(align(before[2], before[2], before[1]), before[2], rtol=0, atol=1e-5)  # no turn is left
    assert not before[1].equal(before[2])


def test_a_null_edit_moves_no_point(null_case):
    found = Maps(points=18).run(null_case, [3])
    well_formed(found)
    for row in found.tables["distance"]:
        assert row["mmd2"] == pytest.approx(0, abs=1e-12)
        assert row["moved"] < 1e-12  # a single round's prompts run in other batches
        assert row["p"] == 1
    for name in ("map", "single"):
        places = {}
        for row in found.tables[name]:
            places.setdefault((row["fact"], row["subject"]), set()).add((round(row["x"], 9), round(row["y"], 9)))
        assert all(len(where) == 1 for where in places.values())


def test_other_places_methods_and_turns(plain_case):
    found = Maps(points=18, method="tsne", site="final", at="end", single="turned").run(plain_case, [3])
    well_formed(found)
    assert "after layer 3 at the prompt’s last token" in found.protocol
    assert found.tables["map"][0]["explained"] is None
    again = Maps(points=18, method="tsne", site="final", at="end", single="turned").run(plain_case, [3])
    assert again.as_dict() == found.as_dict()
    with pytest.raises(UserError, match="ask for a round after an edit"):
        Maps().run(plain_case, [0])


def test_a_turned_single_update_keeps_the_weight_s_spectrum(plain_case):
    from core.measures.studies.maps import _states

    for t, weights, own in _states(plain_case, 2, "turned"):
        for layer in plain_case.layers:
            torch.testing.assert_close(
                torch.linalg.svdvals(own[layer]), torch.linalg.svdvals(plain_case.lm.original(layer)), rtol=1e-9, atol=0
            )
            assert not own[layer].allclose(weights[layer]), t
