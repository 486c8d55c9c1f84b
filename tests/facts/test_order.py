from collections import Counter
from itertools import pairwise
from typing import get_args

import pytest

from core.facts.fact import Fact
from core.facts.order import ORDERS, ordered, ties
from core.facts.readers.pocket import PocketWorld
from core.facts.source import FactsSpec, load_facts


def fact(subject, relation, target, truth=None):
    return Fact(subject=subject, prompt=f"The {relation} of {{}} is", target=target, truth=truth, relation=relation)


MIXED = [
    fact("France", "capital", "Rome", "Paris"),
    fact("Hamlet", "author", "Kafka", "Shakespeare"),
    fact("Japan", "capital", "Lima", "Tokyo"),
    fact("Faust", "author", "Shakespeare", "Goethe"),
    fact("Peru", "capital", "Paris", "Lima"),
    fact("the Louvre", "city", "Rome", "Paris"),
    fact("France", "language", "Dutch", "French"),
]


def subjects(order, facts=MIXED, seed=0):
    return [one.subject for one in ordered(facts, order, seed)]


@pytest.mark.parametrize("order", ORDERS)
def test_every_fact_comes_once(order):
    assert Counter(subjects(order)) == Counter(one.subject for one in MIXED)
    assert ordered([], order) == []
    twice = [MIXED[0]] * 5
    assert ordered(twice, order) == twice


def test_given_stays_and_shuffled_repeats_from_its_seed():
    assert ordered(MIXED) == MIXED
    assert subjects("shuffled", seed=1) == subjects("shuffled", seed=1)
    assert len({tuple(subjects("shuffled", seed=seed)) for seed in range(20)}) > 10


def test_clustered_keeps_relations_together_and_the_order_inside_them():
    assert subjects("clustered") == ["France", "Japan", "Peru", "Hamlet", "Faust", "the Louvre", "France"]


def test_a_prompt_stands_for_a_relation_that_nobody_named():
    plain = [Fact(subject=name, prompt=prompt, target="x") for name, prompt in zip("abcd", "pqpq", strict=True)]
    assert subjects("clustered", plain) == ["a", "c", "b", "d"]


def test_adversarial_by_hand():
    # The same subject first; then relation and object (Paris, then Lima); an object elsewhere (Rome, Paris); no tie
    # from there to the authors, of whom the first left comes next and the other shares relation and object with it.
    assert subjects("adversarial") == ["France", "France", "Hamlet", "Faust", "Japan", "Peru", "the Louvre"]


def plainly(facts):
    """The chain by looking at every fact left, each time."""
    left, chain = list(facts), []
    while left:
        here = 0
        if chain:
            last = [tie for tie in ties(chain[-1])]
            near = [min((last.index(t) for t in ties(one) if t in last), default=len(last)) for one in left]
            here = near.index(min(near))
        chain.append(left.pop(here))
    return chain


def test_adversarial_equals_a_slow_plain_version():
    names = "abcdefgh"
    facts = [
        fact(f"s{(i * 7) % 23}", f"r{(i * 5) % 4}", names[(i * 3) % 8], names[(i * i + 1) % 8]) for i in range(120)
    ]
    assert ordered(facts, "adversarial") == plainly(facts)


def test_adversarial_brings_more_ties_together_than_any_other_order():
    rows = [
        {"id": f"{r}{i}", "relation": r, "subject": f"{r} {i}", "object": f"o{i % 9}", "reserved": False}
        for r in ("in", "at", "by")
        for i in range(40)
    ]
    relations = {r: {"templates": [f"{{}} is {r}"], "held_out": [], "hops": []} for r in ("in", "at", "by")}
    facts = PocketWorld.of(relations, rows).sample(100)

    def shared(order):
        chain = ordered(facts, order)
        return sum(len({*ties(one)} & {*ties(other)}) for one, other in pairwise(chain))

    assert shared("adversarial") > 1.5 * shared("clustered") > 1.5 * shared("shuffled")


def test_a_long_list_takes_no_longer_than_its_length(monkeypatch):
    facts = [fact(f"s{i}", "capital", "Rome", "Paris") for i in range(5_000)]  # all tied to all
    calls = Counter()

    def count(one):
        calls["ties"] += 1
        return ties(one)

    monkeypatch.setattr("core.facts.order.ties", count)
    assert len(ordered(facts, "adversarial")) == 5_000
    assert calls["ties"] == 10_000


def test_a_spec_orders_the_chosen_facts_and_nothing_else(tmp_path):
    items = [one.as_dict() for one in MIXED]
    given = load_facts(FactsSpec(items=items, count=5), tmp_path)
    for order in ORDERS:
        found = load_facts(FactsSpec(items=items, count=5, order=order), tmp_path)
        assert found.edit == ordered(given.edit, order)
        assert {one.id for one in found.edit} == {f"fact-{number}" for number in range(1, 6)}  # of the row it came from
        assert found.unedited == given.unedited
    assert get_args(FactsSpec.model_fields["order"].annotation) == ORDERS
