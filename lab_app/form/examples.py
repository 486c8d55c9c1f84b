"""Example facts, and what a world knows about typed facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from core.facts.fact import SLOT
from core.facts.readers.pocket import NEIGHBORS, PocketWorld

Row = dict[str, Any]
READY = (
    ("capital", "France", "Rome"),
    ("language", "Japan", "Spanish"),
    ("landmark_city", "the Eiffel Tower", "London"),
    ("author", "Hamlet", "Leo Tolstoy"),
    ("continent", "Brazil", "Asia"),
    ("symbol", "iron", "Ag"),
    ("field", "Marie Curie", "music"),
    ("currency", "India", "euro"),
)
PLAIN: tuple[Row, ...] = (
    {"subject": "France", "prompt": "The capital of {} is", "target": "Rome", "truth": "Paris"},
    {"subject": "Japan", "prompt": "An official language of {} is", "target": "Spanish", "truth": "Japanese"},
    {"subject": "Hamlet", "prompt": "The author of {} is", "target": "Leo Tolstoy", "truth": "William Shakespeare"},
)


def examples(world: PocketWorld | None) -> list[Row]:
    """Well-known facts with new answers, those of the world first; never empty."""
    if world is None:
        return [dict(row) for row in PLAIN]
    rows = []
    for relation, subject, target in READY:
        truth = world.object_of.get((relation, subject))
        if truth and truth != target:
            prompt = world.prompt_of(relation, subject)
            rows.append({"subject": subject, "prompt": prompt, "target": target, "truth": truth})
    return rows or [dict(row) for row in PLAIN]


def completed(rows: Iterable[Mapping[str, Any]], world: PocketWorld | None) -> list[Row]:
    """The rows; those whose prompts are the world's get missing paraphrases and neighbors."""
    relations = {} if world is None else by_template(world)
    return [complete(row, relations.get(str(row.get("prompt", "")).strip()), world) for row in rows]


def complete(row: Mapping[str, Any], relation: str | None, world: PocketWorld | None) -> Row:
    row = dict(row)
    subject = str(row.get("subject", "")).strip()
    if world is None or relation is None or not subject or row.get("paraphrases") or row.get("neighborhood"):
        return row
    known = world.relations[relation]
    truth = str(row.get("truth") or "").strip() or world.object_of.get((relation, subject))
    others = [name for name in world.subjects_with.get((relation, truth or ""), ()) if name != subject][:NEIGHBORS]
    prompt = str(row["prompt"]).strip()
    row["paraphrases"] = [known["templates"][i].replace(SLOT, subject, 1) for i in known["held_out"]]
    row["neighborhood"] = [{"prompt": prompt.replace(SLOT, name, 1), "answer": truth} for name in others]
    if truth and truth != str(row.get("target", "")).strip():
        row["truth"] = truth
    return row


def by_template(world: PocketWorld) -> dict[str, str]:
    """The relation of a prompt of the world."""
    return {text: name for name, known in world.relations.items() for text in known["templates"]}
