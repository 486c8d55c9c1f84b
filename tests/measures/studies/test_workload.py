"""What studies expect the model to read, against what it does read."""

from dataclasses import replace

import pytest

from core.facts.fact import Question
from core.measures import studies
from core.measures.cost import cost_model as estimate
from core.measures.cost.cost_model import Speed
from core.measures.study.workload import ANSWER, fact_count, question_work

READERS = {
    "scores": {},
    "locality": {},
    "portability": {},
    "retention": {"ask": "paraphrase", "facts": 2},
    "ripple": {"facts": 7},
    "generation": {"tokens": 6, "length": 20},
    "perplexity": {"tokens": 100},
    "warning": {"tokens": 100},
    "values": {},
    "maps": {"points": 12},
    "decomposition": {"points": 3, "groups": 2, "seeds": 2, "sizes": 1},
}


@pytest.fixture
def asked_case(plain_case):
    def asked(fact):
        near = (Question(prompt=f"{fact.subject} is a", answer="baker", kind="near"),)
        return replace(fact, locality=near, portability=near)

    return replace(plain_case, facts=[asked(fact) for fact in plain_case.facts])


@pytest.fixture
def read(plain_case):
    """The number of tokens that the model is given, padding among them, so far."""
    counted = [0]

    def count(module, args, kwargs):
        counted[0] += kwargs["input_ids"].numel()

    hook = plain_case.lm.model.register_forward_pre_hook(count, with_kwargs=True)
    yield counted
    hook.remove()


@pytest.mark.parametrize("name", READERS)
def test_what_a_study_expects_to_read_is_about_what_it_reads(asked_case, read, name, monkeypatch):
    """At a speed of one token a second in the model, and of infinitely many operations elsewhere. The toy's few names
    make its prompts begin more alike than others do, and what begins alike is read once."""
    token = 2.0 * asked_case.lm.n_parameters
    monkeypatch.setattr(estimate, "speed", lambda device, dtype: Speed(token, float("inf"), float("inf")))
    for work in ("product", "decomposition", "factorisation"):
        monkeypatch.setattr(estimate, work, lambda *shape: estimate.Work())
    study = studies.get(name)(**READERS[name])
    seconds = study.seconds(asked_case, [1, 3])
    before = read[0]
    study.run(asked_case, [1, 3])
    assert 0.4 < seconds / (read[0] - before) < 4


def test_questions_by_hand(plain_case):
    lm, texts = plain_case.lm, [fact.text for fact in (*plain_case.facts, *plain_case.unedited)]
    mean = sum(len(lm.encode(text)) for text in texts) / len(texts)
    assert question_work(plain_case, 10).passes == 2.0 * lm.n_parameters * round(10 * (mean + ANSWER))
    assert fact_count(plain_case, [0, 1, 3], None) == 9 + 3 + 9
    assert fact_count(plain_case, [0, 1, 3], 4) == 4 + 3 + 4
    assert question_work(replace(plain_case, facts=[], unedited=[]), 10) == estimate.Work()
