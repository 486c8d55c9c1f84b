"""Everyday facts in plain English, for real models: countries, cities, animals, books, words and their forms.

The folder `core/facts/everyday` holds a table of two columns for each relation (some are those of the pocket world),
the relations with their templates, and which facts a model says rightly (`known-MODEL.tsv`, made by
`python -m core known MODEL`).
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from core.errors import UserError
from core.facts.fact import SLOT, Fact, Neighbor
from core.facts.readers.pocket import NEIGHBORS, PocketWorld
from core.paths import PACKAGE

NAME = "everyday"
FOLDER = PACKAGE / "facts" / NAME
POCKET_TABLES = PACKAGE / "pocket" / "data"
KNOWN, FURTHER = "known", "further"  # kinds of facts: whether the model says them rightly before any edit
SUBSETS = ("", KNOWN, FURTHER)
ENOUGH = 2  # templates in which the model has to say a fact rightly for it to count as known
PARAPHRASES = 2
RESERVED = 0.125  # of the known subjects: never edited, so that there are always some to ask for

Known = Mapping[tuple[str, str], tuple[int, ...]]


@dataclass(frozen=True)
class EverydayWorld(PocketWorld):
    """The tables as a world. Rows have `id, relation, subject, object, known` (the templates, by number, in which the
    model says the object) and `reserved` (never edited)."""

    source: ClassVar[str] = NAME
    named: ClassVar[str] = "the world of everyday facts"

    @classmethod
    def read(cls, folder: Path = FOLDER, model: str = "smollm2") -> EverydayWorld:
        """The world of a folder, with what `model` knows of it. Raises `UserError` if files are missing or damaged."""
        try:
            relations = json.loads((folder / "relations.json").read_text(encoding="utf-8"))
            rows = [
                {"id": f"{name}-{number:03d}", "relation": name, "subject": subject, "object": object_}
                for name, relation in relations.items()
                for number, (subject, object_) in enumerate(pairs(folder, name, relation.get("table")), start=1)
            ]
            known = read_known(folder / f"known-{model}.tsv")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{folder}: the tables of facts cannot be read ({error}); install the lab anew") from None
        return cls.knowing(relations, rows, known)

    @classmethod
    def knowing(cls, relations: dict[str, Any], rows: Iterable[dict[str, Any]], known: Known) -> EverydayWorld:
        """The world of these tables in which `known` says what is known."""
        subjects = sorted({subject for (_, subject), right in known.items() if len(right) >= ENOUGH})
        aside = set(random.Random("everyday reserved").sample(subjects, round(RESERVED * len(subjects))))
        facts = [
            {**row, "known": known.get((row["relation"], row["subject"]), ()), "reserved": row["subject"] in aside}
            for row in rows
        ]
        return cls(**vars(PocketWorld.of(relations, facts)))

    def kind(self, row: Mapping[str, Any]) -> str:
        """Whether a fact is said rightly in at least two templates."""
        return KNOWN if len(row["known"]) >= ENOUGH else FURTHER

    def sample(self, count: int, seed: int = 0, subset: str = "") -> list[Fact]:
        """`count` counterfactual edits of distinct subjects: known facts first, then further ones, each kind mixed by
        the seed; of one kind alone with `subset`.

        A known fact is asked in the first template in which the model says it. Paraphrases are other templates,
        neighbors other subjects with the same true object, known ones first.
        """
        rng = random.Random(f"everyday facts {seed}")
        rows = self.sample_of(subset, rng) if subset else self.sample_of(KNOWN, rng) + self.sample_of(FURTHER, rng)
        if count > len(rows):
            some = f"{subset} " if subset else ""
            raise UserError(f"facts.count: {count:,} facts asked, there are {len(rows):,} {some}everyday facts to edit")
        return [self._edit(row, rng) for row in rows[:count]]

    def sample_of(self, kind: str, rng: random.Random | None = None) -> list[dict[str, Any]]:
        """A row for each subject of a kind, mixed. Known subjects are those with any known fact, and have one of
        those."""
        rng, rows = rng or random.Random(0), []
        for _, own in sorted(self._editable().items()):
            known = [row for row in own if self.kind(row) == KNOWN]
            if (KNOWN if known else FURTHER) == kind:
                rows.append(rng.choice(known or own))
        return rng.sample(rows, len(rows))

    def unedited(self, edited: list[Fact], count: int, seed: int = 0) -> list[Fact]:
        """Up to `count` known facts of subjects that are not in `edited`, as the model says them."""
        taken = {fact.subject for fact in edited}
        rows = [row for row in self.facts if row["subject"] not in taken and self.kind(row) == KNOWN]
        rng = random.Random(f"everyday unedited {seed}")
        return [self._true(row) for row in rng.sample(rows, min(count, len(rows)))]

    def prompt_of(self, relation: str, subject: str) -> str:
        """The first template in which the model says a fact; the relation's first if there is none."""
        return self._in_order(self._rows[relation, subject])[0]

    def _edit(self, row: dict[str, Any], rng: random.Random) -> Fact:
        relation, subject, truth = row["relation"], row["subject"], row["object"]
        first, *others = self._in_order(row)
        siblings = [self._rows[relation, name] for name in self.subjects_with[relation, truth] if name != subject]
        chosen = rng.sample(siblings, len(siblings))
        chosen.sort(key=lambda sibling: self.kind(sibling) != KNOWN)
        return Fact(
            subject=subject,
            prompt=first,
            target=rng.choice([name for name in self.objects[relation] if name != truth]),
            truth=truth,
            paraphrases=tuple(text.replace(SLOT, subject, 1) for text in others[:PARAPHRASES]),
            neighborhood=tuple(
                Neighbor(prompt=self._in_order(sibling)[0].replace(SLOT, sibling["subject"], 1), answer=truth)
                for sibling in chosen[:NEIGHBORS]
            ),
            relation=relation,
            id=row["id"],
            source=NAME,
            kind=self.kind(row),
        )

    def _true(self, row: dict[str, Any]) -> Fact:
        prompt, relation = self._in_order(row)[0], row["relation"]
        return Fact(
            subject=row["subject"], prompt=prompt, target=row["object"], relation=relation, id=row["id"], source=NAME
        )

    def _in_order(self, row: Mapping[str, Any]) -> list[str]:
        """The templates of a fact, those first in which the model says it."""
        templates = self.relations[row["relation"]]["templates"]
        return [templates[i] for i in sorted(range(len(templates)), key=lambda i: i not in row["known"])]

    @cached_property
    def _rows(self) -> dict[tuple[str, str], dict[str, Any]]:
        return {(row["relation"], row["subject"]): row for row in self.facts}


def pairs(folder: Path, relation: str, table: Mapping[str, str] | None) -> list[tuple[str, str]]:
    """(subject, object) of a relation: from its own table, or from two columns of one of the pocket world's. Rows
    without an object are left out."""
    if table is None:
        return [(row["subject"], row["object"]) for row in read_table(folder / f"{relation}.tsv")]
    rows = read_table(POCKET_TABLES / f"{table['file']}.tsv")
    return [(row[table["subject"]], row[table["object"]]) for row in rows if row[table["object"]]]


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a table of tab-separated columns with a header."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def read_known(path: Path) -> dict[tuple[str, str], tuple[int, ...]]:
    """(relation, subject) -> the templates, by number, in which a model says the object."""
    return {
        (row["relation"], row["subject"]): tuple(int(number) for number in row["templates"].split(","))
        for row in read_table(path)
    }


def write_known(path: Path, known: Known) -> None:
    """The inverse of `read_known`; facts that are said rightly in no template are left out."""
    lines = ["relation\tsubject\ttemplates"]
    lines += ["\t".join((*fact, ",".join(map(str, right)))) for fact, right in known.items() if right]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
