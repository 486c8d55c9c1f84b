"""Sums and differences of small numbers, with four choices near the answer."""

from __future__ import annotations

from random import Random

from core.measures.outside.english.items import Item, distinct, item

NEAR = 4  # how far a wrong choice is from the right one, at most
FORMS = (  # worked examples show what is asked
    ("2 + 3 = 5, 4 + 6 = 10, {} + {} =", 1),
    ("7 - 4 = 3, 9 - 2 = 7, {} - {} =", -1),
    ("2 plus 3 is 5, 4 plus 6 is 10, and {} plus {} is", 1),
    ("7 minus 4 is 3, 9 minus 2 is 7, and {} minus {} is", -1),
)


def draw(rng: Random, number: int) -> Item:
    """The forms take turns."""
    text, sign = FORMS[number % len(FORMS)]
    first, second = rng.randint(1, 20), rng.randint(1, 10)
    if sign < 0:
        first = first + second
    result = first + sign * second
    others = [n for n in range(max(0, result - NEAR), result + NEAR + 1) if n != result]
    return item(rng, text.format(first, second), str(result), [str(n) for n in rng.sample(others, 3)])


def items() -> list[Item]:
    """Chance is 1/4."""
    return distinct(draw, "arithmetic")
