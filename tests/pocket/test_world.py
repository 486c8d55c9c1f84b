from collections import Counter

import pytest

from core.pocket.people import surnames
from core.pocket.world import TABLES, build_world, read_relations, read_table, read_world, write_world


def test_surnames_are_unique(world):
    people = {fact.subject for fact in world.facts if not fact.real}
    assert len(people) >= 10_000
    assert max(Counter(name.split()[-1] for name in people).values()) == 1


def test_too_many_surnames_are_refused():
    from random import Random

    with pytest.raises(ValueError, match="distinct surnames"):
        surnames(10**6, Random(0))


def test_enough_facts(world):
    assert sum(fact.real for fact in world.facts) >= 600
    assert len(world.facts) >= 10_000
    assert all(fact.object and fact.object == fact.object.strip() for fact in world.facts)
    assert all(fact.subject and fact.subject == fact.subject.strip() for fact in world.facts)


def test_a_subject_has_one_object_per_relation(world):
    assert len(world.index()) == len(world.facts) == len({fact.id for fact in world.facts})


def test_templates():
    for relation in read_relations().values():
        assert len(set(relation.templates)) == len(relation.templates) >= 5
        for template in (*relation.templates, *(hop.template for hop in relation.hops)):
            assert template.count("{}") == 1
            assert not template.endswith("{}"), "the answer must not follow the subject directly"
            assert template == template.strip()
        assert relation.held_out == (len(relation.templates) - 2, len(relation.templates) - 1)


def test_templates_differ_between_relations():
    every = [t for r in read_relations().values() for t in (*r.templates, *(h.template for h in r.hops))]
    assert [t for t, n in Counter(every).items() if n > 1] == []


def test_objects_of_a_relation_have_one_kind(world):
    cities = {fact.subject for fact in world.facts if fact.relation == "city_country"}
    companies = {fact.subject for fact in world.facts if fact.relation == "headquarters"}
    for fact in world.facts:
        if fact.relation in ("capital", "headquarters", "landmark_city", "birth_city"):
            assert fact.object in cities, fact
        if fact.relation == "employer":
            assert fact.object in companies, fact


def test_tables_have_no_doubles():
    for name in {table for table, _, _ in TABLES.values()} | {"cities"}:
        rows = read_table(name)
        first = [next(iter(row.values())) for row in rows]
        assert len(first) == len(set(first)), name
        assert all(None not in row and None not in row.values() for row in rows), f"{name}: a row of another width"


def test_hops_answer_the_object_of_the_object(world):
    index, hops = world.index(), world.hop_questions()
    assert len(hops) > 3_000
    fact, template, answer = next(h for h in hops if h[0].subject == "the Eiffel Tower")
    assert template.format(fact.subject) == "To see the Eiffel Tower you must travel to the country of"
    assert answer == "France"
    assert index["Paris", "city_country"].object == "France"


def test_shares_of_held_out_and_reserved(world):
    subjects = {fact.subject: fact.held_out for fact in world.facts}
    assert sum(subjects.values()) == len(subjects) // 2
    assert 0.05 < sum(fact.reserved for fact in world.facts) / len(world.facts) < 0.12


def test_held_out_subjects_never_get_held_out_templates(world):
    for fact in world.facts[::50]:
        relation = world.relations[fact.relation]
        trained = set(relation.trained_templates(fact))
        assert (trained & set(relation.unseen_templates()) == set()) == fact.held_out


def test_a_seed_gives_one_world():
    assert build_world(5, 30) == build_world(5, 30)
    assert build_world(5, 30) != build_world(6, 30)


def test_world_survives_the_disk(tmp_path):
    world = build_world(2, 20)
    write_world(world, tmp_path)
    assert read_world(tmp_path) == world
