import pytest

from core.facts.dataset import named, read_rows
from core.facts.fact import Question
from tests.facts.records import KNOWEDIT


def test_questions_by_kind_and_answers_with_their_other_forms(facts_of):
    (fact,) = facts_of("knowedit", KNOWEDIT)
    assert (fact.prompt, fact.target, fact.truth) == ("The country of citizenship of {} is", "Italy", "Norway")
    assert {question.kind: question.answer for question in fact.portability} == {
        "reasoning": "Rome",
        "subject aliasing": "Italy",
        "logical generalization": "Italy",
    }
    assert fact.portability[2].aliases == ("IT", "Italia")
    gender = Question(
        prompt="The gender of Mira Olsen is", answer="female", kind="relation specificity", aliases=("woman",)
    )
    assert fact.locality == (gender,)


def test_without_an_old_object(facts_of):
    record = {name: value for name, value in KNOWEDIT.items() if name not in ("ground_truth", "rephrase_prompt")}
    (fact,) = facts_of("knowedit", record)
    assert (fact.truth, fact.paraphrases) == (None, ())


def test_several_targets_are_the_first_and_its_aliases(facts_of):
    (fact,) = facts_of("knowedit", {**KNOWEDIT, "target_new": [["Italy", " IT "], ["Italy"]]})
    assert (fact.target, fact.aliases) == ("Italy", ("IT",))


def test_questions_as_columns(facts_of):
    columns = {"Reasoning": {"prompt": ["One is", "Two is"], "ground_truth": [["1", "one"], ["2"]]}}
    (fact,) = facts_of("knowedit", {**KNOWEDIT, "portability": columns})
    assert [(q.prompt, q.answer, q.aliases) for q in fact.portability] == [
        ("One is", "1", ("one",)),
        ("Two is", "2", ()),
    ]


@pytest.mark.parametrize("nothing", ["", None, [], [[]], [[""]]])
def test_a_question_without_an_answer_is_left_out_and_noted(nothing):
    record = {**KNOWEDIT, "portability": {"Reasoning": [{"prompt": "One is", "ground_truth": nothing}]}}
    reading = read_rows([record], named("knowedit"))
    assert reading.groups[0][0].portability == ()
    assert str(reading.left_out[0]) == "row 1, portability.Reasoning[0]: no answer, question left out"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"portability": "Reasoning"}, "portability: should be an object"),
        ({"portability": {"Reasoning": 3}}, "portability.Reasoning: should be a list"),
        ({"portability": {"Reasoning": ["x"]}}, "portability.Reasoning[0]: should be an object"),
        ({"locality": {"A": [{"prompt": "x", "ground_truth": {"y": 1}}]}}, "locality.A[0].ground_truth: must be text"),
        ({"target_new": [[[]]]}, "target_new: empty"),
    ],
)
def test_what_is_wrong_is_told_at_its_field(problem_of, changes, words):
    assert words in problem_of("knowedit", {**KNOWEDIT, **changes})


def test_answers_nested_without_end_are_told(problem_of):
    deep = "x"
    for _ in range(300):
        deep = [deep]
    assert "ground_truth: must be text, not a list" in problem_of("knowedit", {**KNOWEDIT, "ground_truth": deep})
