"""Word meaning: a definition, and which of four words of its kind it defines (`meaning.tsv`, our own)."""

from __future__ import annotations

from collections import defaultdict
from random import Random

from core.facts.readers.everyday import read_table
from core.measures.outside.english.items import ITEMS, Item, item
from core.paths import PACKAGE

TABLE = PACKAGE / "measures" / "outside" / "english" / "meaning.tsv"


def items() -> list[Item]:
    """An item for each of the first definitions, mixed. Chance is 1/4."""
    rng, rows = Random("english meaning"), read_table(TABLE)
    words: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        words[row["kind"]].append(row["word"])
    made = []
    for row in rng.sample(rows, ITEMS):
        others = [word for word in words[row["kind"]] if word != row["word"]]
        made.append(item(rng, row["prompt"], row["word"], rng.sample(others, 3)))
    return made
