import math
from dataclasses import replace

import pytest
import torch

from core.charts.plot import charted
from core.errors import UserError
from core.measures.inside.energy import Directions
from core.measures.inside.spectrum import Reference
from core.measures.outside.scores import Answers
from core.measures.outside.tasks import Tasks
from core.measures.studies.decomposition import EQUAL, NOT_HURT, PER_DIRECTION, Decomposition
from core.models.loading import load_model
from tests import toys
from tests.measures.studies.checks import well_formed

QUICK = {"points": 4, "groups": 2, "seeds": 2, "sizes": 1, "smallest": 0.3}


@pytest.fixture(scope="module")
def case(case):
    return replace(case, tasks=[str(case.assets / "pocket" / "tasks")])


@pytest.fixture(scope="module")
def asked(case):
    steps = []
    watched = replace(case, progress=lambda *step: steps.append(step))
    return Decomposition(**QUICK).run(watched, [1]), steps


def rows(table, **wanted):
    return [row for row in table if all(row[name] == value for name, value in wanted.items())]


def score(case, weights):
    tasks = Tasks.build(case.lm, [str(case.assets / "pocket" / "tasks")], 25, case.seed)
    with case.lm.worn(weights):
        found = tasks.evaluate()
        rated = Answers(case.lm).rate([(fact.text, fact.target) for fact in case.unedited])
    facts = sum(math.exp(answer.logprob) for answer in rated) / len(rated)
    return {"mean": tasks.mean(found), "true facts": facts} | found


def test_reconstruction_is_scored_as_it_would_be_by_hand(asked, case):
    found, _ = asked
    well_formed(found)
    intact = score(case, {})
    assert {row["task"]: row["score"] for row in found.tables["tasks"]} == intact
    whole = rows(found.tables["reconstruction"], percent=100)
    assert {row["task"]: row["score"] for row in whole} == pytest.approx(intact)
    assert all(row["relative"] == pytest.approx(1) and row["directions"] == 1 for row in whole if intact[row["task"]])
    weights, kept = {}, 0
    for layer in case.layers:
        u, sigma, vh = torch.linalg.svd(case.lm.original(layer), full_matrices=False)
        k = int((sigma.cumsum(0) / sigma.sum() < 0.5).sum()) + 1
        weights[layer], kept = (u[:, :k] * sigma[:k]) @ vh[:k], kept + k
    none = rows(found.tables["reconstruction"], percent=0)
    zeros = {layer: torch.zeros_like(case.lm.original(layer)) for layer in case.layers}
    assert {row["task"]: row["score"] for row in none} == score(case, zeros)
    assert {row["directions"] for row in none} == {0}
    assert {row["percent"] for row in found.tables["reconstruction"]} == {0, 25, 50, 75, 100}
    half = rows(found.tables["reconstruction"], percent=50)
    assert {row["task"]: row["score"] for row in half} == pytest.approx(score(case, weights))
    assert half[0]["directions"] == pytest.approx(kept / 64)


def test_disturbances_are_scored_as_they_would_be_by_hand(asked, case):
    found, _ = asked
    table = found.tables["perturbation_tasks"]
    assert len(table) == 2 * 2 * 2 * 4  # sides, ways, groups, and two tasks with their mean and the facts
    expected = []
    for seed in range(2):
        weights = {}
        for layer in case.layers:
            parts = Directions.of(Reference.of(layer, case.lm.original(layer)), 2)
            change = parts.disturbance("output", 1, seed)
            assert float(change.norm()) == pytest.approx(1)
            weights[layer] = case.lm.original(layer) + 0.3 * float(case.lm.original(layer).norm()) * change
        expected.append(score(case, weights)["mean"])
    (row,) = rows(found.tables["perturbation"], how="mean: output side, equal norm", group=2)
    assert row["score"] == pytest.approx(sum(expected) / 2)
    intact = score(case, {})["mean"]
    assert (row["low"], row["high"]) == pytest.approx((min(expected) / intact, max(expected) / intact))
    assert row["size"] == "ε = 0.3"


def test_progress_and_the_level_of_guessing(asked):
    found, steps = asked
    total = 1 + 5 + 2 * 2 * 2 * 2
    assert next(step for step in steps if step[1]) == (0, total)  # beats before it know no steps
    assert steps[-1] == (total, total)
    assert found.charts[0].line == pytest.approx(0.375 / found.tables["tasks"][0]["score"])  # of 1/4 and 1/2


def test_the_curve_is_drawn_from_0_percent_on(asked):
    found, _ = asked
    drawn = [{"lane": "a", **row} for row in found.tables["reconstruction"]]
    curves = [trace for trace in charted(found.charts[0].as_dict(), drawn).data if trace.type == "scatter"]
    assert len(curves) == 4
    for curve in curves:
        own = rows(found.tables["reconstruction"], task=curve.name)
        assert list(curve.x) == [0, 25, 50, 75, 100]
        assert list(curve.y) == [row["relative"] for row in own]


def test_a_model_that_nothing_hurts_is_told(case, asked, tmp_path):
    """Its down-projections write next to nothing, so that zeros in their place change no answer."""
    lm = load_model(str(toys.tiny_llama(tmp_path)), device="cpu", dtype="float64")
    for layer in range(lm.n_layers):
        lm.down(layer).weight.mul_(1e-9)
    for matrices, more in (("edited", "; replace those of all layers"), ("all", "")):
        study = Decomposition(**QUICK | {"points": 1, "smallest": 1e-6}, facts=0, matrices=matrices)
        assert study.run(replace(case, lm=lm), []).notes == [NOT_HURT + more]
    assert not asked[0].notes


def test_nothing_is_worn_afterwards_and_tasks_are_the_models_own(case, monkeypatch):
    assert case.lm.original(1).equal(case.lm.down(1).weight.detach())
    unnamed = replace(case, tasks=())
    assert Decomposition()._names(unnamed) == ["english"]
    assert Decomposition(tasks="sst2, rte")._names(case) == ["sst2", "rte"]
    monkeypatch.setattr(case.lm, "reference", "pocket")
    assert Decomposition()._names(unnamed) == list(case.tasks)
    with pytest.raises(UserError, match="tasks: missing"):
        Decomposition(**QUICK).run(replace(unnamed, assets=case.assets / "nowhere"), [1])


def test_sizes_and_all_layers(case):
    found = Decomposition(
        **QUICK | {"sizes": 3, "smallest": 0.05, "largest": 0.8, "seeds": 1, "points": 1}, sides="input", matrices="all"
    ).run(case, [])
    assert "layers [0, 1, 2, 3]" in found.protocol
    assert {row["size"] for row in found.tables["perturbation"]} == {"ε = 0.05", "ε = 0.2", "ε = 0.8"}
    assert {row["how"] for row in found.tables["perturbation"]} == {
        f"{score}: input side, {how}" for score in ("mean", "true facts") for how in (EQUAL, PER_DIRECTION)
    }
