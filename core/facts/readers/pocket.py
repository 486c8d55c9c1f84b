"""Facts of the embedded world: sampled for editing, or left unedited to measure side effects."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from core.errors import UserError
from core.facts.fact import SLOT, Fact, Neighbor, Question

NEIGHBORS = 5
MAKE = "make the world with: python -m core pocket build"


@dataclass(frozen=True)
class PocketWorld:
    """The world that the pocket model was trained on.

    `relations` maps a name to its templates (the indices in `held_out` are kept for paraphrases) and its two-hop
    questions; `facts` are rows with `id, relation, subject, object, real, reserved, held_out`.
    """

    relations: dict[str, dict[str, Any]]
    facts: list[dict[str, Any]]
    object_of: dict[tuple[str, str], str] = field(repr=False)
    subjects_with: dict[tuple[str, str], list[str]] = field(repr=False)
    objects: dict[str, list[str]] = field(repr=False)

    source: ClassVar[str] = "pocket"  # its name in specs
    named: ClassVar[str] = "the pocket world"

    @classmethod
    def load(cls, folder: Path) -> PocketWorld:
        """Read `relations.json` and `facts.jsonl` from the world's folder."""
        try:
            relations = json.loads((folder / "relations.json").read_text(encoding="utf-8"))
            lines = (folder / "facts.jsonl").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError as error:
            raise UserError(f"{error.filename}: missing; {MAKE}") from None
        except (ValueError, RecursionError):
            raise UserError(f"{folder / 'relations.json'}: damaged; {MAKE}") from None
        try:
            return cls.of(relations, [json.loads(line) for line in lines if line])
        except (ValueError, RecursionError, KeyError, TypeError):
            raise UserError(f"{folder / 'facts.jsonl'}: damaged; {MAKE}") from None

    @classmethod
    def of(cls, relations: dict[str, dict[str, Any]], facts: list[dict[str, Any]]) -> PocketWorld:
        """A world from its tables, with the indices that sampling needs."""
        subjects_with, objects = defaultdict(list), defaultdict(set)
        for row in facts:
            subjects_with[row["relation"], row["object"]].append(row["subject"])
            objects[row["relation"]].add(row["object"])
        return cls(
            relations=relations,
            facts=facts,
            object_of={(row["relation"], row["subject"]): row["object"] for row in facts},
            subjects_with=dict(subjects_with),
            objects={relation: sorted(names) for relation, names in objects.items()},
        )

    def sample(self, count: int, seed: int = 0) -> list[Fact]:
        """`count` counterfactual edits of distinct subjects, each to another object of the same relation.

        Paraphrases are the relation's held-out templates, neighbors are other subjects with the same true object
        (as in CounterFact), portability questions are the relation's two-hop questions about the new object.
        """
        by_subject = self._editable()
        if count > len(by_subject):
            raise UserError(f"facts.count: {count:,} facts asked, the pocket world has {len(by_subject):,} subjects")
        rng = random.Random(f"pocket facts {seed}")
        subjects = rng.sample(sorted(by_subject), count)
        return [self._edit(rng.choice(by_subject[subject]), rng) for subject in subjects]

    def unedited(self, edited: list[Fact], count: int, seed: int = 0) -> list[Fact]:
        """`count` true facts of subjects that are not in `edited`; their target is their true object."""
        taken = {fact.subject for fact in edited}
        rows = [row for row in self.facts if row["subject"] not in taken]
        rng = random.Random(f"pocket unedited {seed}")
        return [self._true(row) for row in rng.sample(rows, min(count, len(rows)))]

    def prompt_of(self, relation: str, subject: str) -> str:
        """The template in which a fact is asked as an example: the relation's first."""
        return self.relations[relation]["templates"][0]

    def _editable(self) -> dict[str, list[dict[str, Any]]]:
        by_subject = defaultdict(list)
        for row in self.facts:
            if not row["reserved"] and len(self.objects[row["relation"]]) > 1:
                by_subject[row["subject"]].append(row)
        return by_subject

    def _edit(self, row: dict[str, Any], rng: random.Random) -> Fact:
        relation, subject, truth = row["relation"], row["subject"], row["object"]
        target = rng.choice([name for name in self.objects[relation] if name != truth])
        others = [name for name in self.subjects_with[relation, truth] if name != subject]
        prompt = self._prompt(relation)
        return Fact(
            subject=subject,
            prompt=prompt,
            target=target,
            truth=truth,
            paraphrases=tuple(text.replace(SLOT, subject, 1) for text in self._held_out(relation)),
            neighborhood=tuple(
                Neighbor(prompt=prompt.replace(SLOT, name, 1), answer=truth)
                for name in rng.sample(others, min(NEIGHBORS, len(others)))
            ),
            portability=tuple(self._two_hop(relation, subject, target)),
            relation=relation,
            id=row["id"],
            source="pocket",
        )

    def _true(self, row: dict[str, Any]) -> Fact:
        return Fact(
            subject=row["subject"],
            prompt=self._prompt(row["relation"]),
            target=row["object"],
            relation=row["relation"],
            id=row["id"],
            source="pocket",
        )

    def _prompt(self, relation: str) -> str:
        held_out = set(self.relations[relation]["held_out"])
        return next(text for i, text in enumerate(self.relations[relation]["templates"]) if i not in held_out)

    def _held_out(self, relation: str) -> list[str]:
        return [self.relations[relation]["templates"][i] for i in self.relations[relation]["held_out"]]

    def _two_hop(self, relation: str, subject: str, target: str) -> list[Question]:
        questions = []
        for hop in self.relations[relation].get("hops", ()):
            if answer := self.object_of.get((hop["relation"], target)):
                text = hop["template"].replace(SLOT, subject, 1)
                questions.append(Question(prompt=text, answer=answer, kind="two-hop"))
        return questions
