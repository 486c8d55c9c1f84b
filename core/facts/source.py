"""The `facts` field of a spec: where facts come from, and how they are fetched."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from core.errors import UserError
from core.facts.fact import Fact
from core.facts.readers.pocket import PocketWorld
from core.facts.readers.table import read_table
from core.facts.typed import Problem, parse_rows

MOST = 20_000  # facts of one run
MOST_SHOWN = 5  # problems spelled out in one message


class FactsSpec(BaseModel):
    """Either `items` (typed facts) or `source`: "pocket", or a CSV, JSON or JSONL file (its first `count`)."""

    model_config = ConfigDict(extra="forbid")

    source: str | None = None
    items: list[dict[str, Any]] | None = None
    count: int | None = Field(default=None, ge=1)
    seed: int = 0
    unedited: int = Field(default=200, ge=0)

    @model_validator(mode="after")
    def _one_source(self) -> FactsSpec:
        if (self.items is None) == (self.source is None):
            raise ValueError('give either "items" (typed facts) or "source" ("pocket" or a file), not both')
        return self


@dataclass(frozen=True)
class FactSet:
    """The facts to edit, in order, and true facts to leave alone (target = the true object)."""

    edit: list[Fact]
    unedited: list[Fact]


def load_facts(spec: FactsSpec, assets: Path) -> FactSet:
    """Fetch the facts of a spec; `assets` is the folder that holds `pocket/world`.

    Raises `UserError` naming the rows and columns that are wrong.
    """
    world_folder = assets / "pocket" / "world"
    if spec.source == "pocket":
        world = PocketWorld.load(world_folder)
        edit = world.sample(spec.count or 100, spec.seed)
        return FactSet(edit, world.unedited(edit, spec.unedited, spec.seed))
    rows = spec.items if spec.items is not None else read_table(Path(spec.source or ""))
    facts = checked(rows, spec.source or "facts.items")
    edit, rest = facts[: spec.count], facts[spec.count :] if spec.count else []
    return FactSet(_numbered(edit), _left_alone(rest, edit, spec))


def checked(rows: list[Any], where: str) -> list[Fact]:
    """The facts of these rows; every row must hold one. Raises `UserError` listing the first problems."""
    if len(rows) > MOST:
        raise UserError(f"{where}: {len(rows):,} rows, at most {MOST:,} facts fit one run; split them")
    facts, problems = parse_rows(rows)
    if problems:
        raise UserError(f"{where}: {spelled_out(problems)}")
    if not facts:
        raise UserError(f"{where}: no facts; type at least one row with subject, prompt and target")
    return facts


def spelled_out(problems: list[Problem]) -> str:
    """The first problems in one line, and how many more there are."""
    shown = "; ".join(str(problem) for problem in problems[:MOST_SHOWN])
    more = len(problems) - MOST_SHOWN
    return f"{shown}; and {more:,} more" if more > 0 else shown


def _numbered(facts: list[Fact]) -> list[Fact]:
    return [fact if fact.id else replace(fact, id=f"fact-{number}") for number, fact in enumerate(facts, start=1)]


def _left_alone(rest: list[Fact], edit: list[Fact], spec: FactsSpec) -> list[Fact]:
    """True facts after the edited ones in the same file, of other subjects."""
    taken = {fact.subject for fact in edit}
    known = [replace(fact, target=fact.truth, truth=None) for fact in rest if fact.truth and fact.subject not in taken]
    return random.Random(f"unedited {spec.seed}").sample(known, min(spec.unedited, len(known)))
