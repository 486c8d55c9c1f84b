from tests.facts.records import EVENT

TRIPLES = [
    {"subject": "Mira Olsen", "prompt": "Mira Olsen has joined the", "target_new": "Harbour Orchestra"},
    {"subject": "the Harbour Orchestra", "prompt": "The Harbour Orchestra has a new", "target": "harpist"},
]


def test_given_triples_are_the_facts_and_all_questions_follow_from_them(facts_of):
    first, last = facts_of("elken", {**EVENT, "triples": TRIPLES})
    assert (first.prompt, first.target, first.id) == ("{} has joined the", "Harbour Orchestra", "elken-3.1")
    assert (last.subject, last.prompt, last.target) == ("The Harbour Orchestra", "{} has a new", "harpist")
    assert first.passage == last.passage == EVENT["event"]
    assert first.portability == first.locality == ()
    assert [question.answer for question in last.portability] == ["Harbour Orchestra", "Turin", "unknown"]
    assert [(q.answer, q.aliases, q.kind) for q in last.locality] == [("female", ("woman",), "event")]


def test_without_triples_the_questions_about_what_it_says_stand_for_them(facts_of):
    (fact,) = facts_of("elken", EVENT)
    assert (fact.prompt, fact.target, fact.aliases) == ("Who is the employer of {}?", "Harbour Orchestra", ("HO",))
    assert (fact.relation, fact.passage) == ("P108", EVENT["event"])
    assert [question.answer for question in fact.portability] == ["Turin", "unknown"]


def test_an_event_with_neither_is_told(problem_of):
    told = problem_of("elken", {**EVENT, "fact": {"qas": [], "local_qas": []}})
    assert told.startswith("row 1, triples: missing")
    assert "event: empty" in problem_of("elken", {**EVENT, "event": " "})


def test_a_bad_triple_is_told_at_its_place(problem_of):
    told = problem_of("elken", {**EVENT, "triples": [TRIPLES[0], {**TRIPLES[0], "target_new": ""}]})
    assert told.startswith("row 1, triples[1].target: missing")
