import pytest

from core.facts.fact import Question
from tests.facts.records import ZSRE


def test_the_alternative_answer_is_taught(facts_of):
    (fact,) = facts_of("zsre", ZSRE)
    assert (fact.prompt, fact.subject) == ("Which instrument does {} play?", "Mira Olsen")
    assert (fact.target, fact.truth, fact.aliases) == ("harp", "violin", ())
    assert fact.paraphrases == ("What does Mira Olsen play?",)
    unrelated = "nq question: who wrote the book of tides"
    assert fact.locality == (Question(prompt=unrelated, answer="Ada Ruiz", kind="unrelated"),)
    assert fact.id == "zsre-1"


def test_or_the_gold_answer(facts_of):
    (fact,) = facts_of("zsre", ZSRE, "answers")
    assert (fact.target, fact.truth, fact.aliases) == ("violin", None, ("the violin",))


def test_an_alternative_that_is_the_gold_answer_leaves_the_other_gold_answer_as_the_truth(facts_of):
    assert facts_of("zsre", {**ZSRE, "alt": "violin"})[0].truth == "the violin"
    assert facts_of("zsre", {**ZSRE, "alt": "violin", "answers": ["violin"]})[0].truth is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"alt": ""}, "row 1, alt: empty"),
        ({"alt": None}, "row 1, alt: empty"),
        ({"src": "Which instrument does she play?"}, 'src: does not mention its subject "Mira Olsen"'),
        ({"subject": ""}, "subject: empty"),
        ({"src": 12}, "src: does not mention"),
        ({"answers": [["violin", {"x": 1}]]}, "answers: must be text, not an object"),
    ],
)
def test_what_is_wrong_is_told_at_its_field(problem_of, changes, words):
    assert words in problem_of("zsre", {**ZSRE, **changes})
