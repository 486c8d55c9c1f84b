import pytest

from core.facts.fact import Fact, Neighbor, Question
from core.facts.typed import parse_rows

GOOD = {"subject": "France", "prompt": "The capital of {} is", "target": "Lyon", "truth": "Paris"}


def parse_one(**changes):
    facts, problems = parse_rows([{**GOOD, **changes}])
    return (facts[0] if facts else None), (problems[0] if problems else None)


def test_a_good_row_becomes_a_fact():
    fact, problem = parse_one(
        paraphrases="{} has its capital in | The seat of government of France is",
        neighborhood=[{"prompt": "The capital of Italy is", "answer": "Rome"}],
        portability="The mayor of the capital of France is => Grégory Doucet",
    )
    assert problem is None
    assert fact.text == "The capital of France is"
    assert fact.paraphrases == ("France has its capital in", "The seat of government of France is")
    assert fact.neighborhood == (Neighbor(prompt="The capital of Italy is", answer="Rome"),)
    assert fact.portability == (Question(prompt="The mayor of the capital of France is", answer="Grégory Doucet"),)
    assert Fact.from_dict(fact.as_dict()) == fact


@pytest.mark.parametrize(
    "changes, column, words",
    [
        ({"subject": ""}, "subject", "empty"),
        ({"subject": None}, "subject", "empty"),
        ({"prompt": "  "}, "prompt", "empty"),
        ({"target": float("nan")}, "target", "empty"),
        ({"target": "Paris"}, "target", "nothing to edit"),
        ({"prompt": "The capital is"}, "prompt", "does not mention"),
        ({"prompt": "{} and {} are"}, "prompt", "leave one"),
        ({"prompt": "France, oh France, is"}, "prompt", "2 times"),
        ({"prompt": "{} " + "x" * 5_000}, "prompt", "5,003 characters"),
        ({"target": ["Lyon"]}, "target", "not a list"),
        ({"neighborhood": ["no arrow"]}, "neighborhood", "needs a prompt and an answer"),
        ({"neighborhood": [{"prompt": "a", "answer": "b", "anwser": "c"}]}, "neighborhood", "anwser"),
        ({"paraphrases": 3}, "paraphrases", "must be a list"),
        ({"taget": "Lyon"}, "", 'did you mean "target"'),
    ],
)
def test_a_bad_cell_is_named_with_its_column(changes, column, words):
    fact, problem = parse_one(**changes)
    assert fact is None
    assert (problem.row, problem.column) == (1, column)
    assert words in problem.message


@pytest.mark.parametrize("subject", ["東京", "القاهرة", "🦜 Polly", "a{b}c", "naïve\u0301"])
def test_any_writing_can_name_a_subject(subject):
    fact, problem = parse_one(subject=subject, target="🙂")
    assert problem is None
    assert fact.text == f"The capital of {fact.subject} is"


def test_the_literal_subject_becomes_the_slot():
    fact, _ = parse_one(prompt="The capital of France is")
    assert fact.prompt == "The capital of {} is"


def test_empty_rows_are_passed_over_and_rows_keep_their_numbers():
    facts, problems = parse_rows([GOOD, {"subject": "", "prompt": None}, {**GOOD, "target": ""}])
    assert len(facts) == 1
    assert [str(problem)[:14] for problem in problems] == ["row 3, target:"]
