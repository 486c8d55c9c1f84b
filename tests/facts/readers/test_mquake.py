import pytest

from tests.facts.records import FLAT, MQUAKE


def test_rewrites_are_facts_and_multi_hop_questions_wait_for_the_last(facts_of):
    first, last = facts_of("mquake", MQUAKE)
    assert (first.text, first.target, first.truth) == ("Mira Olsen is a citizen of", "Italy", "Norway")
    assert (last.text, last.target, last.truth) == ("The capital of Italy is", "Turin", "Rome")
    assert (first.aliases, last.aliases) == (("IT",), ("Torino",))
    assert first.paraphrases == ("What is the country of Mira Olsen?",)
    assert first.portability == first.locality == ()
    (question,) = last.portability
    assert (question.kind, question.answer, question.aliases) == ("multi-hop", "Italian", ("italiano",))
    (unchanged,) = last.locality
    assert (unchanged.kind, unchanged.prompt, unchanged.answer) == ("single-hop", "The language of Turin is", "Italian")
    assert [first.id, last.id] == ["mquake-5.1", "mquake-5.2"]


def test_a_case_cut_by_the_count_asks_no_multi_hop_question(load):
    found = load([MQUAKE], count=1)
    assert [fact.portability for fact in found.edit] == [()]
    assert [fact.target for fact in found.unedited] == ["Rome"]


def test_shuffling_keeps_cases_together(load):
    cases = [{**MQUAKE, "case_id": number} for number in range(8)]
    ids = [fact.id for fact in load(cases, shuffle=True, seed=1).edit]
    assert ids != sorted(ids)
    assert [name.removesuffix(".1") for name in ids[::2]] == [name.removesuffix(".2") for name in ids[1::2]]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"requested_rewrite": []}, "requested_rewrite: empty"),
        ({"requested_rewrite": [FLAT]}, "requested_rewrite[0].target_new: should be an object"),
        ({"requested_rewrite": "x"}, "requested_rewrite: should be a list"),
        ({"new_answer": "", "new_answer_alias": None}, "new_answer: missing"),
    ],
)
def test_what_is_wrong_is_told_at_its_field(problem_of, changes, words):
    assert words in problem_of("mquake", {**MQUAKE, **changes})
