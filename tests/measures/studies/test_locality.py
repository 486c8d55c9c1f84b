import math
from dataclasses import replace

import pytest
import torch

from core.facts.fact import Question
from core.measures.outside.scores import Answers, score_facts, summarise
from core.measures.studies.locality import Locality
from core.measures.studies.portability import Portability
from core.measures.studies.scores import Scores, harmonic


@pytest.fixture
def asked_case(plain_case):
    """The lane whose first facts come with locality and portability questions."""
    questions = (
        Question(prompt="The capital of France is", answer="Paris", kind="far"),
        Question(prompt="The capital of Italy is", answer="Rome", kind="far"),
        Question(prompt="Tom Ash is a", answer="baker", kind="near", aliases=("painter",)),
    )
    facts = list(plain_case.facts)
    for i in range(3):
        facts[i] = replace(facts[i], locality=questions, portability=questions[1:])
    return replace(plain_case, facts=facts)


def wearing(case, at, weights):
    """The lane, with other weights after a round."""
    made = replace(case)
    made.weights = lambda round_: weights if round_ == at else case.weights(round_)
    return made


def test_scores_are_those_of_a_run(plain_case):
    """Probability and exact, by other code."""
    found = Scores(facts=None, paraphrases=2, neighbors=2).run(plain_case, [0, 2])
    for at in (0, 2):
        chosen = plain_case.edited(at) or range(len(plain_case.facts))
        with plain_case.lm.worn(plain_case.weights(at)):
            rows = score_facts(Answers(plain_case.lm), [plain_case.facts[i] for i in chosen], 2, 2)
        expected = summarise(rows)
        got = {(row["kind"], row["sense"]): row["value"] for row in found.tables["scores"] if row["round"] == at}
        for kind, column in (("edit", "efficacy"), ("paraphrase", "paraphrase"), ("neighborhood", "neighborhood")):
            assert got[kind, "probability"] == pytest.approx(expected[column])
            assert got[kind, "exact"] == pytest.approx(expected[f"{column}_exact"])
            assert got[kind, "tokens"] >= got[kind, "exact"]
        (overall,) = [row["harmonic_mean"] for row in found.tables["overall"] if row["round"] == at]
        assert overall == pytest.approx(harmonic([expected[c] for c in ("efficacy", "paraphrase", "neighborhood")]))
        assert len([row for row in found.tables["differences"] if row["round"] == at]) == 3


def test_harmonic_mean_by_hand():
    assert harmonic([1.0, 0.5, 0.25]) == pytest.approx(3 / 7)
    assert harmonic([1.0, 0.0, 1.0]) == 0.0


def test_locality_by_kind(asked_case):
    found = Locality(facts=None, most=1, tokens=4).run(asked_case, [0, 1])
    kept = {(row["round"], row["kind"], row["measure"]): row for row in found.tables["kept"]}
    assert {kind for _, kind, _ in kept} == {"neighborhood", "far", "near"}
    assert all(row["value"] == 1.0 for (at, _, _), row in kept.items() if at == 0)  # the unedited model itself
    assert kept[1, "far", "match ratio"]["questions"] == 3  # one of each kind and fact
    assert all(
        kept[1, kind, "exact match"]["value"] <= kept[1, kind, "match ratio"]["value"] for kind in ("far", "near")
    )
    lm, prompt = asked_case.lm, "The capital of France is"

    def grown():
        ids = lm.encode(prompt)
        for _ in range(4):
            with torch.no_grad():
                ids = [*ids, int(lm.model(torch.tensor([ids])).logits[0, -1].argmax())]
        return ids[-4:]

    before = grown()
    with lm.worn(asked_case.weights(1)):
        after = grown()
    same = [one == other for one, other in zip(before, after, strict=True)]
    assert kept[1, "far", "match ratio"]["value"] == sum(same) / 4
    assert kept[1, "far", "exact match"]["value"] == float(all(same))
    senses = {(row["kind"], row["sense"]) for row in found.tables["right"]}
    assert senses == {(kind, s) for kind in ("neighborhood", "far", "near") for s in ("probability", "tokens", "exact")}


def test_portability_of_both_models(asked_case):
    found = Portability(facts=None).run(asked_case, [0, 2])
    rows = {(r["round"], r["model"], r["kind"], r["sense"]): r for r in found.tables["portability"]}
    for kind in ("far", "near"):
        for sense in ("tokens", "exact"):
            assert rows[0, "edited", kind, sense]["value"] == rows[0, "unedited", kind, sense]["value"]
            assert rows[2, "unedited", kind, sense]["value"] == rows[0, "unedited", kind, sense]["value"]
            assert rows[2, "edited", kind, sense]["facts"] == 3
    assert not [key for key in rows if key[3] == "probability"]


def test_facts_without_questions_say_so(plain_case):
    bare = replace(plain_case, facts=[replace(fact, neighborhood=()) for fact in plain_case.facts])
    assert "neither neighbors nor locality" in Locality().run(bare, [1]).notes[0]
    assert "no portability questions" in Portability().run(bare, [1]).notes[0]
    assert "no overall score" in Scores().run(bare, [1]).notes[0]


def test_broken_weights_are_wrong_and_noted(asked_case):
    broken = {layer: torch.full_like(asked_case.lm.original(layer), math.nan) for layer in asked_case.layers}
    case = wearing(asked_case, 1, broken)
    found = Locality(tokens=2).run(case, [1])
    assert all(row["value"] == 0.0 for table in found.tables.values() for row in table)
    assert "no finite probability" in found.notes[0]
    assert "stopped early" in found.notes[1]
    scores = Scores().run(case, [1])
    assert all(row["value"] == 0.0 for row in scores.tables["scores"])
    assert scores.notes


@pytest.mark.parametrize("study", [Locality, Portability, Scores])
def test_which_answers_count_is_an_option_and_said_where_the_number_is(asked_case, study):
    free, first = (study(facts=3, answers=answers).run(asked_case, [1]) for answers in ("any", "first"))
    assert "any counts" in free.protocol
    assert "only the first counts, as in the R_k paper" in first.protocol
