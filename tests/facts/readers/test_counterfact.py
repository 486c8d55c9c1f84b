from core.facts.fact import Neighbor, Question
from tests.facts.records import COUNTERFACT, FLAT


def test_the_original_form(facts_of):
    (fact,) = facts_of("counterfact", COUNTERFACT)
    assert (fact.subject, fact.prompt, fact.target, fact.truth) == ("Mira Olsen", "{} plays the", "harp", "violin")
    assert fact.paraphrases == tuple(COUNTERFACT["paraphrase_prompts"])
    assert fact.neighborhood[1] == Neighbor(prompt="Eva Lind plays the", answer="violin")
    assert fact.locality == (Question(prompt="Ada Ruiz plays the", answer="harp", kind="attribute"),)
    assert fact.generation == tuple(COUNTERFACT["generation_prompts"])
    assert (fact.relation, fact.id, fact.source) == ("P1303", "counterfact-12", "counterfact")


def test_the_flat_form(facts_of):
    (fact,) = facts_of("counterfact", FLAT)
    assert fact.prompt == "The birthplace of {} is"
    assert fact.text == FLAT["prompt"]
    assert (fact.target, fact.truth) == ("Turin", "Bergen")
    assert fact.paraphrases == ("Mira Olsen was born in",)
    assert fact.neighborhood == (Neighbor(prompt="The birthplace of Jon Berg is", answer="Bergen"),)


def test_references_come_with_either_form(facts_of):
    texts = ["The harp is a string instrument. " * 100, "Jon Berg plays the harp."]  # articles are longer than cells
    for record in (COUNTERFACT, FLAT):
        (fact,) = facts_of("counterfact", {**record, "references": texts})
        assert fact.references == (texts[0].strip(), texts[1])
        (bare,) = facts_of("counterfact", record)
        assert bare.references == ()


def test_lists_of_locality_prompts_go_with_their_answers(facts_of):
    lists = {"locality_prompt": ["Jon Berg is from", "Eva Lind is from"], "locality_ground_truth": ["Bergen", "Oslo"]}
    (fact,) = facts_of("counterfact", {**FLAT, **lists, "rephrase_prompt": ["a", "b"]})
    assert [near.answer for near in fact.neighborhood] == ["Bergen", "Oslo"]
    assert fact.paraphrases == ("a", "b")


def test_without_an_old_object_there_are_no_neighbors(facts_of):
    rewrite = {**COUNTERFACT["requested_rewrite"], "target_true": None}
    (fact,) = facts_of("counterfact", {**COUNTERFACT, "requested_rewrite": rewrite})
    assert (fact.truth, fact.neighborhood) == (None, ())


def test_what_is_wrong_is_told_at_its_field(problem_of):
    rewrite = COUNTERFACT["requested_rewrite"]
    for changes, words in [
        ({"target_new": {"str": " ", "id": "Q1"}}, "row 1, requested_rewrite.target_new.str: empty"),
        ({"target_new": {}}, "requested_rewrite.target_new.str: missing"),
        ({"target_new": "harp"}, "requested_rewrite.target_new: should be an object"),
        ({"prompt": "{} and {} play the"}, "requested_rewrite.prompt: 2 slots"),
        ({"prompt": "She plays the"}, "does not mention its subject"),
        ({"subject": ["Mira"]}, "requested_rewrite.subject: must be text, not a list"),
    ]:
        assert words in problem_of("counterfact", {**COUNTERFACT, "requested_rewrite": {**rewrite, **changes}})
    assert "target_new: empty" in problem_of("counterfact", {**FLAT, "target_new": ""})
    assert "rephrase_prompt: must be text, not an object" in problem_of(
        "counterfact", {**FLAT, "rephrase_prompt": {"a": 1}}
    )
