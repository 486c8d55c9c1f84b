"""World knowledge that is never edited: everyday facts of reserved subjects, with four choices of their relation."""

from __future__ import annotations

from random import Random

from core.facts.fact import SLOT
from core.facts.readers.everyday import EverydayWorld
from core.measures.outside.english.items import ITEMS, Item, item

OF_WORDS = ("opposite", "plural", "past", "gerund", "comparative", "next")  # relations that are about words


def items() -> list[Item]:
    """A fact each, whether the model is known to say it or not, where the subject does not name the object; second
    templates where there are fewer facts. Chance is 1/4."""
    world, rng = EverydayWorld.read(), Random("english knowledge")
    rows = [
        row
        for row in world.facts
        if row["reserved"] and row["relation"] not in OF_WORDS and row["object"] not in row["subject"]
    ]
    asked = [
        (template, row)
        for number in range(2)
        for row in rng.sample(rows, len(rows))
        for template in world.relations[row["relation"]]["templates"][number : number + 1]
    ]
    made = []
    for template, row in asked[:ITEMS]:
        others = [name for name in world.objects[row["relation"]] if name != row["object"]]
        prompt = template.replace(SLOT, row["subject"], 1)
        made.append(item(rng, prompt, row["object"], rng.sample(others, 3)))
    return made
