from dataclasses import replace

import pytest

from core.charts.plot import charted
from core.editing.failure import EditFailure
from core.editing.lane.session import EditSession, model_info
from core.editing.lane.state import LaneState
from core.editing.recipe import recipe_from_dict
from core.editing.rounds import edit_round as rounds
from core.editing.statistics.second_moment import second_moments
from core.measures.studies.layers import Layers, name_of, windows
from core.models.forward import score
from tests import toys
from tests.measures.studies.checks import well_formed

QUICK = {"width": 2, "edits": 3, "facts": 6}


@pytest.fixture(scope="module")
def sweep_case(plain_case):
    session = EditSession(plain_case.lm, second_moments(plain_case.lm, range(4), toys.SENTENCES * 2, 500))
    return replace(plain_case, session=session)


@pytest.fixture(scope="module")
def found(sweep_case):
    return Layers(**QUICK).run(sweep_case, [])


def test_windows_cover_all_layers_but_the_last():
    assert windows(8, 5) == [(0, 1, 2, 3, 4), (1, 2, 3, 4, 5), (2, 3, 4, 5, 6)]
    assert windows(8, 1, 3) == [(0,), (3,), (6,)]
    assert windows(4, 9) == [(0, 1, 2)]
    assert windows(1, 1) == [(0,)]
    assert [name_of(window) for window in ((4,), (4, 5, 6))] == ["4", "4-6"]


def test_each_window_is_one_round_from_the_unedited_weights(found, sweep_case):
    well_formed(found)
    lm, facts = sweep_case.lm, sweep_case.facts[:3]
    assert [row["layers"] for row in found.tables["windows"]] == ["0-1", "1-2"]
    for row, window in zip(found.tables["windows"], ((0, 1), (1, 2)), strict=True):
        recipe = recipe_from_dict({"method": "memit", "layers": list(window)}, model_info(lm))
        state = LaneState.base(lm, window)
        state.apply(rounds.edit_round(lm, state, facts, recipe, sweep_case.session))
        with lm.worn(state.weights):
            new = score(lm, [fact.text for fact in facts], [fact.target for fact in facts])
            old = score(lm, [fact.text for fact in facts], [fact.truth for fact in facts])
            asked = [[(text, fact.target) for text in fact.paraphrases[:2]] for fact in facts]
            near = [[(n.prompt, n.answer) for n in fact.neighborhood[:2]] for fact in facts]
            exact = [
                sum(sum(score(lm, *map(list, zip(*pairs, strict=True))).exact.tolist()) / len(pairs) for pairs in each)
                / 3
                for each in (asked, near)
            ]
        assert row["efficacy"] == pytest.approx(float((new.logprob > old.logprob).double().mean()))
        assert row["efficacy_exact"] == pytest.approx(float(new.exact.double().mean()))
        assert [row["paraphrase_exact"], row["neighborhood_exact"]] == pytest.approx(exact)
        sizes = [float((state.weights[n] - lm.original(n)).norm() / lm.original(n).norm()) for n in window]
        assert row["largest_change"] == pytest.approx(max(sizes), abs=1e-10)
        own = [one["change"] for one in found.tables["changes"] if one["layers"] == row["layers"]]
        assert own == pytest.approx(sizes, abs=1e-10)


def test_the_charts_draw_the_tables(found):
    lanes = {name: [{"lane": "a", **row} for row in table] for name, table in found.tables.items()}
    scores = charted(found.charts[0].as_dict(), lanes["scores"])
    (exact,) = [trace for trace in scores.data if trace.name == "efficacy, exact"]
    assert list(exact.x) == [1, 2]
    assert list(exact.y) == [row["efficacy_exact"] for row in found.tables["windows"]]
    (heat,) = charted(found.charts[2].as_dict(), lanes["changes"]).data
    at = {(row["layers"], str(row["layer"])): row["change"] for row in found.tables["changes"]}
    assert [list(line) for line in heat.z] == [[at.get((y, x)) for x in heat.x] for y in heat.y]


def test_the_best_window_and_failures_are_told(found, sweep_case, monkeypatch):
    best = max(found.tables["windows"], key=lambda row: (row["efficacy_exact"], -row["largest_change"]))
    assert found.notes[-1].startswith(f"most edits are said after editing layers {best['layers']}: ")
    true = rounds.edit_round

    def failing(lm, state, facts, recipe, *rest):
        if recipe.layers == (0, 1):
            raise EditFailure("no solution")
        return true(lm, state, facts, recipe, *rest)

    monkeypatch.setattr(rounds, "edit_round", failing)
    some = Layers(**QUICK).run(sweep_case, [])
    assert [row["layers"] for row in some.tables["windows"]] == ["1-2"]
    assert "layers 0-1: no solution" in some.notes
    none = Layers(**QUICK).run(replace(sweep_case, facts=[]), [])
    assert none.tables["windows"] == []
    assert "0 instead of 3 edits: there are no more facts to edit" in none.notes
    well_formed(none)
