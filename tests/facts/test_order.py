from collections import Counter
from itertools import pairwise
from typing import get_args

import pytest

from core.errors import UserError
from core.facts.fact import Fact
from core.facts.order import BY_TRUTH, ORDERS, chosen, ordered, ties
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
    assert get_args(FactsSpec.model_fields["order"].annotation) == (*ORDERS, *BY_TRUTH)


def test_facts_are_chosen_and_ordered_by_how_likely_their_truth_is():
    logprobs = [-3.0, -1.0, -2.0, -1.0, float("-inf")]
    assert chosen(logprobs, 3) == [0, 1, 2]
    assert chosen(logprobs, 3, "high") == [1, 2, 3]  # in their given order
    assert chosen(logprobs, 2, "low") == [0, 4]
    assert chosen(logprobs, 5, None, "likely_first") == [1, 3, 2, 0, 4]  # equal ones as given
    assert chosen(logprobs, 3, "low", "unlikely_first") == [4, 0, 2]


def test_a_spec_chooses_from_its_pool(tmp_path):
    items = [
        {"subject": name, "prompt": "{} is in", "target": "Rome", "truth": "P" * size}
        for name, size in zip("ABCDEFGHIJ", (3, 9, 5, 2, 8, 1, 7, 4, 6, 10), strict=True)
    ]

    def load(before=(), **spec):
        rate = None if before else lambda facts: [float(len(fact.truth)) for fact in facts]
        return load_facts(FactsSpec(items=items, unedited=20, **spec), tmp_path, rate, before)

    high = load(count=2, likely="high")
    assert [fact.subject for fact in high.edit] == ["B", "E"]  # of the first eight
    assert {fact.subject for fact in high.unedited} == set("ABCDEFGHIJ") - {"B", "E"}
    assert [fact.subject for fact in load(count=2, likely="low", pool=4).edit] == ["A", "D"]
    assert [fact.subject for fact in load(count=3, order="likely_first").edit] == ["B", "C", "A"]
    again = load(before=high.chosen, count=2, likely="high")
    assert again.edit == high.edit
    assert again.chosen == high.chosen
    with pytest.raises(UserError, match="depends on what the model finds likely"):
        load_facts(FactsSpec(items=items, count=2, likely="high"), tmp_path)
    with pytest.raises(UserError, match="chosen of others than these"):
        load(before=(99, 1), count=2, likely="high")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pool": 9}, '"pool" is what "likely" chooses from'),
        ({"likely": "high"}, 'say how many as "count"'),
        ({"likely": "low", "count": 9, "pool": 3}, "fewer than the 9"),
    ],
)
def test_fields_of_a_choice_that_do_not_fit_together_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        FactsSpec(source="pocket", **fields)
