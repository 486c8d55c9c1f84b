"""Items of multiple choice, as the harness's local tasks have them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

ITEMS = 200  # of a task
TRIES = 100  # for each item, before it is given up: some are drawn twice

NAMES = ("Anna", "Ben", "Clara", "David", "Emma", "Frank", "Grace", "Henry", "Julia", "Kevin", "Laura", "Martin")

Item = dict[str, Any]  # "prompt", "choices", "answer": the index of the right one


def item(rng: Random, prompt: str, right: str, wrong: Sequence[str]) -> Item:
    """An item with its choices in random order; the right one is not among `wrong`."""
    choices = [right, *wrong]
    rng.shuffle(choices)
    return {"prompt": prompt, "choices": choices, "answer": choices.index(right)}


def distinct(draw: Callable[[Random, int], Item], name: str, count: int = ITEMS) -> list[Item]:
    """`count` different items: `draw` gets a generator seeded by `name`, and the number of the item, by which it can
    take turns."""
    rng = Random(f"english {name}")
    found: dict[tuple[str, ...], Item] = {}
    for _ in range(TRIES * count):
        one = draw(rng, len(found))
        found.setdefault((one["prompt"], *sorted(one["choices"])), one)
        if len(found) == count:
            return list(found.values())
    raise ValueError(f"{name}: there are only {len(found)} different items")
