"""Facts that a method may learn from: of the model's own world, about subjects that are never edited."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from core.editing.settings.defaults import ModelInfo, is_pocket
from core.facts.fact import SLOT, Fact
from core.facts.readers.everyday import EverydayWorld
from core.facts.readers.pocket import PocketWorld
from core.paths import ASSETS


@dataclass(frozen=True)
class Taught:
    """A fact with a new object, another prompt that it answers, and a question about another subject of its relation
    with its true answer."""

    fact: Fact
    other: str
    strange: str
    answer: str


def lessons(model: ModelInfo, count: int, seed: int) -> list[Taught]:
    """Up to `count` facts, shuffled by the seed: of the embedded model those of its world, of others everyday ones.

    Their subjects are reserved: no run edits them. Templates that the pocket world keeps for paraphrases of edits are
    not among the prompts.
    """
    world = PocketWorld.load(ASSETS / "pocket" / "world") if is_pocket(model) else EverydayWorld.read()
    rng = random.Random(f"lessons {seed}")
    by_relation: dict[str, list[dict[str, Any]]] = {}
    for row in world.facts:
        if row["reserved"]:
            by_relation.setdefault(row["relation"], []).append(row)
    rows = [row for own in by_relation.values() if len({r["subject"] for r in own}) > 1 for row in own]
    chosen = rng.sample(rows, min(count, len(rows)))
    return [taught(world, row, by_relation[row["relation"]], rng) for row in chosen]


def taught(world: PocketWorld, row: dict[str, Any], relation: list[dict[str, Any]], rng: random.Random) -> Taught:
    """A row of the world as a lesson. Its new object is another one of the relation."""
    subject = row["subject"]
    about = world.relations[row["relation"]]
    held_out = set(about.get("held_out", ()))
    templates = [text for number, text in enumerate(about["templates"]) if number not in held_out]
    first, other = (rng.sample(templates, 2) + templates)[:2] if len(templates) > 1 else templates * 2
    target = rng.choice([name for name in world.objects[row["relation"]] if name != row["object"]] or [row["object"]])
    strange = rng.choice([one for one in relation if one["subject"] != subject])
    fact = Fact(subject=subject, prompt=first, target=target, truth=row["object"], relation=row["relation"])
    return Taught(
        fact,
        other.replace(SLOT, subject, 1),
        rng.choice(templates).replace(SLOT, strange["subject"], 1),
        strange["object"],
    )
