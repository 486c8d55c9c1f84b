"""The order in which the chosen facts are edited: it decides which edits meet in a round."""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Hashable, Iterator, Sequence

from core.facts.fact import Fact

ORDERS = ("given", "shuffled", "clustered", "adversarial")
BY_TRUTH = ("likely_first", "unlikely_first")  # orders for which a model has to be asked; see `chosen`
HIGH, LOW = "high", "low"  # subsets by the same


def ordered(facts: Sequence[Fact], order: str = "given", seed: int = 0) -> list[Fact]:
    """The same facts, each once, in one of the `ORDERS`.

    *given*: unchanged. *shuffled*: by `seed`. *clustered*: relation by relation, in the order in which each occurs
    first. *adversarial*: a chain in which the next fact is always one that interferes with the last as much as any
    remaining one, so that such facts meet in a round or in neighboring ones; see `chained`.

    The prompt is used as the relation of facts without one.
    """
    if order == "given":
        return list(facts)
    if order == "shuffled":
        mixed = list(facts)
        random.Random(f"order {seed}").shuffle(mixed)
        return mixed
    if order == "clustered":
        first = {relation(fact): place for place, fact in reversed(list(enumerate(facts)))}
        return sorted(facts, key=lambda fact: first[relation(fact)])
    if order == "adversarial":
        return chained(facts)
    raise ValueError(f"there is no order {order!r}; there are {', '.join(ORDERS)}")


def chosen(logprobs: Sequence[float], count: int, likely: str | None = None, order: str = "given") -> list[int]:
    """Places of `count` facts whose truths have these log-probabilities: those with the highest ("high") or the lowest
    ("low"), or the first ones. They come in their given order, or by log-probability (`BY_TRUTH`); equal ones as
    given."""
    rising = sorted(range(len(logprobs)), key=lambda place: logprobs[place])
    falling = sorted(range(len(logprobs)), key=lambda place: -logprobs[place])
    kept = set({HIGH: falling, LOW: rising}.get(likely or "", range(len(logprobs)))[:count])
    by = {BY_TRUTH[0]: falling, BY_TRUTH[1]: rising}.get(order, range(len(logprobs)))
    return [place for place in by if place in kept]


def chained(facts: Sequence[Fact]) -> list[Fact]:
    """A greedy chain from the first fact on. Each fact is followed by the first remaining one, in the given order,
    that shares the strongest of these with it: the subject (their keys are almost the same); relation and an
    object (new or old: one edit asks for what the other moves away from, or both ask for the same); an object
    alone; the relation alone. If none does, the first remaining one follows. Takes time proportional to the
    number of facts."""
    queues: dict[Hashable, deque[int]] = defaultdict(deque)
    for place, fact in enumerate(facts):
        for tie in ties(fact):
            queues[tie].append(place)
    left = [True] * len(facts)
    rest = iter(range(len(facts)))
    chain: list[Fact] = []
    following = next(rest, None)
    while following is not None:
        left[following] = False
        chain.append(facts[following])
        near = next(_waiting(queues, facts[following], left), None)
        following = near if near is not None else next((other for other in rest if left[other]), None)
    return chain


def ties(fact: Fact) -> list[tuple[str, ...]]:
    """What may connect a fact with others, the strongest first."""
    kind = relation(fact)
    objects = list(dict.fromkeys(_same(text) for text in (fact.target, fact.truth) if text))
    return [
        ("subject", _same(fact.subject)),
        *(("both", kind, name) for name in objects),
        *(("object", name) for name in objects),
        ("relation", kind),
    ]


def relation(fact: Fact) -> str:
    """What a fact is about besides its subject."""
    return fact.relation or fact.prompt


def _waiting(queues: dict[Hashable, deque[int]], fact: Fact, left: list[bool]) -> Iterator[int]:
    """The remaining places that a fact is connected with, from the strongest connection on; used places are removed
    on the way."""
    for tie in ties(fact):
        queue = queues[tie]
        while queue and not left[queue[0]]:
            queue.popleft()
        if queue:
            yield queue[0]


def _same(text: str) -> str:
    return text.strip().casefold()
