"""Ripples: unedited facts whose answers changed, and their ties to the edits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.facts.fact import Fact
from core.measures.outside.scores import share_interval
from core.measures.outside.words import normalised, says_target

TIES = ("same subject", "same object", "same relation", "unrelated")


@dataclass(frozen=True)
class Edits:
    """The edited facts by what they share with others: the last one of each subject, object and relation."""

    subjects: dict[str, Fact]
    objects: dict[str, Fact]
    relations: dict[str, Fact]

    @classmethod
    def of(cls, facts: Sequence[Fact]) -> Edits:
        """An edit's objects are both its new and its old one."""
        return cls(
            {normalised(fact.subject): fact for fact in facts},
            {normalised(name): fact for fact in facts for name in (fact.truth, fact.target) if name},
            {relation(fact): fact for fact in facts},
        )

    def ties(self, fact: Fact) -> dict[str, Fact]:
        """Every tie of an unedited fact (its `target` is the true object) to an edited one, the closest first."""
        nearest = {
            "same subject": self.subjects.get(normalised(fact.subject)),
            "same object": self.objects.get(normalised(fact.target)),
            "same relation": self.relations.get(relation(fact)),
        }
        return {tie: edit for tie, edit in nearest.items() if edit is not None}


def relation(fact: Fact) -> str:
    """The name of a fact's relation: its `relation`, or else the words of its prompt."""
    return fact.relation or normalised(fact.prompt)


def ripples(
    unedited: Sequence[Fact],
    before: Sequence[Sequence[int]],
    after: Sequence[Sequence[int]],
    texts: Sequence[tuple[str, str]],
    edits: Edits,
) -> list[dict[str, Any]]:
    """A row per unedited fact: `fact` (its index), `prompt`, `object`, `before`, `after`, `changed`, `was_right`,
    `is_right`, `ties` (all of `TIES` that it has, the closest first) and the `edit` that the closest is to.

    `before` and `after` are the ids of the answers, `texts` the two as text. A fact changed if any token did.
    """
    rows = []
    for index, (fact, old, new, (was, now)) in enumerate(zip(unedited, before, after, texts, strict=True)):
        ties = edits.ties(fact)
        closest = next(iter(ties.values()), None)
        rows.append(
            {
                "fact": index,
                "prompt": fact.text,
                "object": fact.target,
                "before": was.strip(),
                "after": now.strip(),
                "changed": list(old) != list(new),
                "was_right": says_target(was, fact.target),
                "is_right": says_target(now, fact.target),
                "ties": tuple(ties) or ("unrelated",),
                "edit": f"{closest.text} {closest.target}" if closest else "",
            }
        )
    return rows


def counted(rows: Sequence[dict[str, Any]], seed: int = 0) -> list[dict[str, Any]]:
    """A row per tie that some fact has, and "all": `tie, facts, changed, share` with its 95 % interval `low,
    high`, `lost` (right before, wrong now) and `gained`. A fact with several ties counts under each of them."""
    table = []
    for tie in (*TIES, "all"):
        members = [row for row in rows if tie in ("all", *row["ties"])]
        if not members:
            continue
        changed = [float(row["changed"]) for row in members]
        low, high = share_interval(changed, seed)
        table.append(
            {
                "tie": tie,
                "facts": len(members),
                "changed": int(sum(changed)),
                "share": sum(changed) / len(changed),
                "low": low,
                "high": high,
                "lost": sum(row["was_right"] and not row["is_right"] for row in members),
                "gained": sum(row["is_right"] and not row["was_right"] for row in members),
            }
        )
    return table
