import pytest

from tests.facts.records import CONCEPT, PREPARED


@pytest.mark.parametrize(
    ("subset", "target"),
    [("", "a tower for grain"), ("intra", "a tower for grain"), ("inter", "a poem of fourteen lines")],
)
def test_the_modules_of_the_own_file(facts_of, subset, target):
    (fact,) = facts_of("conceptedit", CONCEPT, subset)
    assert fact.text == "The definition of lighthouse is"
    assert (fact.target, fact.truth) == (target, "a tower with a light for ships")
    assert [(q.prompt, q.answer, q.kind) for q in fact.locality] == [
        ("The definition of harbour is", "a place where ships lie", "concept")
    ]


def test_a_prepared_file(facts_of):
    (fact,) = facts_of("conceptedit", PREPARED, "inter")
    assert (fact.prompt, fact.target, fact.truth) == ("The definition of {} is", "a tower for grain", None)
    assert fact.paraphrases == ("When we speak of a lighthouse, we mean",)


def test_a_missing_module_is_told(problem_of):
    record = {name: value for name, value in CONCEPT.items() if name != "module_inter"}
    assert "module_inter.replace_def: missing" in problem_of("conceptedit", record, "inter")
