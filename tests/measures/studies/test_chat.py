"""Studies of a lane whose prompts are asked as chat: answers follow the template's turns, not the bare prompts."""

from dataclasses import replace

import pytest

from core.facts.fact import Question
from core.measures.outside import greedy
from core.measures.studies.cost import Cost
from core.measures.studies.locality import Locality
from core.measures.studies.ripple import Ripple
from core.measures.studies.values.aims import task_keys
from core.models.chat import Frame
from core.models.forward import activations

FRAME = Frame("<|user|>\n", "<|end|>\n<|assistant|>\n")  # after a line break an answer has no space before it


@pytest.fixture
def chat_case(plain_case, monkeypatch):
    monkeypatch.setattr(plain_case.lm, "frame", FRAME)
    asked = (Question(prompt="The capital of France is", answer="Paris", kind="far"),)
    return replace(plain_case, facts=[replace(fact, locality=asked) for fact in plain_case.facts])


@pytest.fixture
def generated(monkeypatch):
    """By prompt, how many tokens were generated after it."""
    seen, true = {}, greedy.greedy_ids

    def watched(lm, prompts, counts, beat=None):
        seen.update(zip(prompts, counts, strict=True))
        return true(lm, prompts, counts, beat)

    monkeypatch.setattr(greedy, "greedy_ids", watched)
    return seen


def length(lm, prompt, answer):
    """Tokens that the answer adds to all that stands before it."""
    return len(lm.encode(lm.asked(prompt) + answer)) - len(lm.encode(lm.asked(prompt)))


def bare(lm, prompt, answer):
    """The same without the template's turns."""
    return len(lm.encode(f"{prompt} {answer}")) - len(lm.encode(prompt))


def test_ripples_compare_as_many_tokens_as_the_answer_has_in_the_chat(chat_case, generated):
    Ripple().run(chat_case, [1])
    lm, facts = chat_case.lm, chat_case.unedited
    assert generated == {fact.text: length(lm, fact.text, fact.target) for fact in facts}
    assert generated != {fact.text: bare(lm, fact.text, fact.target) for fact in facts}


def test_locality_compares_as_many_tokens_as_the_answer_has_in_the_chat(chat_case, generated):
    Locality(facts=None, most=None).run(chat_case, [3])
    lm, asked = chat_case.lm, {"The capital of France is": "Paris"}
    asked |= {near.prompt: near.answer for fact in chat_case.facts for near in fact.neighborhood}
    assert generated == {prompt: length(lm, prompt, answer) for prompt, answer in asked.items()}
    assert generated != {prompt: bare(lm, prompt, answer) for prompt, answer in asked.items()}


def test_prompts_that_do_not_fit_with_their_turns_are_not_timed(plain_case, monkeypatch):
    lm, count = plain_case.lm, plain_case.lm.max_length // 2
    monkeypatch.setattr(lm, "frame", Frame("the sea " * count, ""))
    assert all(len(lm.encode(fact.text)) + count <= lm.max_length for fact in plain_case.facts)
    found = Cost(tokens=count, prompts=3).run(plain_case, [1])
    assert found.tables["latency"] == []
    assert "each of 0 prompts" in found.protocol


def test_keys_of_task_texts_are_read_where_the_assistants_turn_begins(chat_case):
    lm, text = chat_case.lm, "The capital of France is"
    found = task_keys(chat_case, [text], 2)
    framed = lm.encode(FRAME.before + text + FRAME.after)
    expected = activations(lm, [framed], [len(framed) - 1], [2], "key")[2].double().T
    assert found.equal(expected)
