import math
from dataclasses import replace

import pytest
import torch
from transformers import GPT2Config

from core.errors import UserError
from core.measures.outside.free_text import TfIdf, contains_match, exact_match, first_line, fluency
from core.measures.outside.greedy import sampled_texts
from core.measures.studies.generation import Generation
from core.models.generation import generate
from tests import toys


@pytest.fixture
def free_case(plain_case):
    """The lane whose first three facts come with prompts and references; the likeliest answer of one is accepted."""
    facts = list(plain_case.facts)
    with plain_case.lm.worn(plain_case.weights(1)):
        likeliest = generate(plain_case.lm, [facts[0].text], 6)[0]
    texts = ("Vienna lies on the river.", "The sea is near Rome.", "Bruno Keller is a baker.")
    for i in range(3):
        prompts = (f"{facts[i].subject} likes", f"The home of {facts[i].subject} is")
        facts[i] = replace(facts[i], generation=prompts, references=(texts[i],))
    facts[0] = replace(facts[0], aliases=(first_line(likeliest),))
    return replace(plain_case, facts=facts)


def wearing(case, at, weights):
    """The lane, with other weights after a round."""
    made = replace(case)
    made.weights = lambda round_: weights if round_ == at else case.weights(round_)
    return made


def test_numbers_are_those_of_the_texts(free_case):
    lm, facts = free_case.lm, free_case.facts
    found = Generation(facts=None, tokens=6, length=16, prompts=2).run(free_case, [1])
    assert found.notes == []
    means = {row["measure"]: row for row in found.tables["generation"]}
    with lm.worn(free_case.weights(1)):
        said = generate(lm, [facts[i].text for i in range(3)], 6)
        asked = [prompt for i in range(3) for prompt in facts[i].generation]
        texts = sampled_texts(lm, asked, 16, free_case.seed)
    answers = [(fact.target, *fact.aliases) for fact in facts[:3]]
    exact = [exact_match(text, answer) for text, answer in zip(said, answers, strict=True)]
    contains = [contains_match(text, answer) for text, answer in zip(said, answers, strict=True)]
    assert means["exact"]["value"] == sum(exact) / 3
    assert means["contains"]["value"] == sum(contains) / 3
    assert exact[0]
    assert contains[0]
    assert means["fluency"]["value"] == pytest.approx(sum(map(fluency, texts)) / 6)
    weights = TfIdf.fit([fact.references[0] for fact in facts[:3]])
    pairs = [(" ".join(texts[2 * i : 2 * i + 2]), facts[i].references[0]) for i in range(3)]
    assert means["consistency"]["value"] == pytest.approx(sum(weights.cosine(*pair) for pair in pairs) / 3)
    assert [row["said"] for row in found.tables["answers"]] == [first_line(text) for text in said]
    assert "judge" not in means
    assert "log base 2" in found.protocol


def test_a_judge_is_a_model_of_its_own(free_case, tmp_path):
    config = GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=512)
    folder = toys.write(tmp_path / "judge", config)
    found = Generation(facts=2, tokens=4, length=8, judge=str(folder)).run(free_case, [2])
    verdicts = [row["judge"] for row in found.tables["answers"]]
    (mean,) = [row["value"] for row in found.tables["generation"] if row["measure"] == "judge"]
    assert mean == sum(verdicts) / 2
    assert str(folder) in found.protocol
    with pytest.raises(UserError, match="no model folder"):
        Generation(judge="./not/there").run(free_case, [2])


def test_what_the_facts_lack_is_said(plain_case):
    found = Generation(facts=2, tokens=2, length=8, prompts=1).run(plain_case, [0, 1])
    assert [note.split(":")[0] for note in found.notes] == [
        "these facts have no references",
        "these facts have no generation prompts",
    ]
    assert {row["measure"] for row in found.tables["generation"]} == {"exact", "contains", "fluency"}
    assert {row["round"] for row in found.tables["generation"]} == {0, 1}


def test_a_broken_lane_says_nothing(free_case):
    broken = {layer: torch.full_like(free_case.lm.original(layer), math.nan) for layer in free_case.layers}
    found = Generation(facts=3, tokens=3, length=8).run(wearing(free_case, 1, broken), [1])
    assert found.notes == ["round 1: 3 answers stopped early: their logits were not finite"]
    assert [row["said"] for row in found.tables["answers"]] == ["", "", ""]
    assert [r["value"] for r in found.tables["generation"] if r["measure"] in ("exact", "contains")] == [0.0, 0.0]
