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


def test_what_measures_ask_for_is_read_too():
    fact, problem = parse_one(
        locality=[
            {"prompt": "The river of France is", "answer": "Seine", "kind": "other", "aliases": ["the Seine", 7]}
        ],
        portability="{} => no slot is filled here",
        aliases="Lugdunum | Lyons",
        generation=["{} is best known for"],
        references="Lyon is the capital.",
        passage="France has moved its capital. " * 100,
        target=0,
    )
    assert problem is None
    question = Question(prompt="The river of France is", answer="Seine", kind="other", aliases=("the Seine", "7"))
    assert fact.locality == (question,)
    assert (fact.aliases, fact.references) == (("Lugdunum", "Lyons"), ("Lyon is the capital.",))
    assert (fact.generation, fact.target) == (("France is best known for",), "0")
    assert fact.passage.startswith("France has moved")
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
        ({"paraphrases": [3, {"a": 1}]}, "paraphrases", "must be text, not an object"),
        ({"aliases": {"a": 1}}, "aliases", "must be a list"),
        ({"references": [["a"]]}, "references", "must be text, not a list"),
        ({"generation": True}, "generation", "must be a list"),
        ({"locality": ["no arrow"]}, "locality", "needs a prompt and an answer"),
        ({"locality": [{"prompt": "a", "answer": "b", "aliases": 3}]}, "aliases", "must be a list"),
        ({"portability": [{"prompt": "a", "answer": ["b"]}]}, "portability", "must be text, not a list"),
        ({"portability": [{"prompt": "a", "answer": "\0"}]}, "portability", "needs a prompt and an answer"),
        ({"neighborhood": [{"prompt": " \0", "answer": "b"}]}, "neighborhood", "needs a prompt and an answer"),
        ({"passage": ["a"]}, "passage", "must be text"),
        ({"target": "\ud83d"}, "target", "half of a character"),
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
