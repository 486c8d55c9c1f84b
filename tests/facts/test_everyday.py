"""Everyday facts: tables, what SmolLM2 knows of them, and samples that say it."""

from collections import Counter

import pytest
from pydantic import ValidationError

from core.errors import UserError
from core.facts.readers.everyday import FURTHER, KNOWN, EverydayWorld, read_known, write_known
from core.facts.source import FactsSpec, load_facts
from core.measures.outside.known import known_templates
from core.models.loading import load_model


@pytest.fixture(scope="module")
def world():
    return EverydayWorld.read()


def test_every_relation_has_templates_that_an_object_can_follow(world):
    for name, relation in world.relations.items():
        templates = relation["templates"]
        assert len(set(templates)) >= 4, name
        assert all(text.count("{}") == 1 and text == text.strip() for text in templates), name
        assert not any(text.endswith((".", "?", ",")) for text in templates), name
        assert len(world.objects[name]) > 1


def test_the_tables_hold_each_fact_once(world):
    for row in world.facts:
        assert row["subject"] == row["subject"].strip()
        assert row["object"] == row["object"].strip()
        assert row["subject"]
        assert row["object"]
    assert max(Counter((row["relation"], row["subject"]) for row in world.facts).values()) == 1


def test_there_are_enough_known_templates_and_subjects_for_long_sequences(world):
    known = [row for row in world.facts if world.kind(row) == KNOWN]
    assert len(known) >= 600
    assert len(world.sample_of(KNOWN)) + len(world.sample_of(FURTHER)) >= 600 + 1_500  # distinct subjects to edit
    assert len(world.sample_of(FURTHER)) >= 1_500
    assert all(set(row["known"]) <= set(range(len(world.relations[row["relation"]]["templates"]))) for row in known)
    assert {row["relation"] for row in known} == set(world.relations)  # each relation has sentences that are completed


def test_a_sample_is_known_first_then_further_and_of_distinct_subjects(world):
    known = len(world.sample_of(KNOWN))
    facts = world.sample(known + 50, seed=3)
    assert [fact.kind for fact in facts] == [KNOWN] * known + [FURTHER] * 50
    assert len({fact.subject for fact in facts}) == len(facts)
    assert facts == world.sample(known + 50, seed=3)
    assert facts[:20] != world.sample(20, seed=4)
    by_id = {row["id"]: row for row in world.facts}
    for fact in facts:
        row = by_id[fact.id]
        assert fact.truth == row["object"] != fact.target
        assert fact.target in world.objects[fact.relation]
        assert not row["reserved"]
        assert len(fact.paraphrases) == 2
        assert all(fact.subject in text for text in fact.paraphrases)
        assert fact.text not in fact.paraphrases
        if fact.kind == KNOWN:
            assert fact.prompt == world.relations[fact.relation]["templates"][row["known"][0]]


def test_neighbors_share_the_object_and_those_that_are_known_come_first(world):
    (fact, *_) = [fact for fact in world.sample(300) if fact.relation == "category"]
    for neighbor in fact.neighborhood:
        assert neighbor.answer == fact.truth
        assert fact.subject not in neighbor.prompt.split()
    assert len(fact.neighborhood) == 5


def test_unedited_facts_are_known_and_of_other_subjects(world):
    edited = world.sample(300)
    aside = world.unedited(edited, 200)
    assert len(aside) == 200
    assert not {fact.subject for fact in aside} & {fact.subject for fact in edited}
    rows = {row["id"]: row for row in world.facts}
    assert all(world.kind(rows[fact.id]) == KNOWN and fact.target == rows[fact.id]["object"] for fact in aside)


def test_a_spec_names_one_kind(tmp_path):
    facts = load_facts(FactsSpec(source="everyday", count=30, subset="further"), tmp_path)
    assert {fact.kind for fact in facts.edit} == {FURTHER}
    assert len(facts.unedited) == 200
    with pytest.raises(UserError, match="known everyday facts to edit"):
        load_facts(FactsSpec(source="everyday", count=9_000, subset="known"), tmp_path)
    with pytest.raises(ValidationError, match='no subset "unknown" of everyday'):
        FactsSpec(source="everyday", subset="unknown")
    with pytest.raises(ValidationError, match="leave it out"):
        FactsSpec(source="everyday", split="train")


def test_a_table_of_what_is_known_is_read_as_it_was_written(tmp_path):
    known = {("capital", "France"): (0, 2), ("plural", "cat"): (1,)}
    write_known(tmp_path / "known.tsv", {**known, ("plural", "dog"): ()})
    assert read_known(tmp_path / "known.tsv") == known


def test_a_folder_without_tables(tmp_path):
    with pytest.raises(UserError, match="tables of facts cannot be read"):
        EverydayWorld.read(tmp_path)


def test_the_table_says_what_the_model_says(smollm2, world):
    rows = [row for row in world.facts if row["relation"] in ("next", "symbol")][:12]
    said = known_templates(load_model(smollm2, device="cpu"), world.relations, rows)
    assert {(row["relation"], row["subject"]): row["known"] for row in rows} == said
