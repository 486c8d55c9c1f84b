"""The `facts` field of a spec: where facts come from, and how they are loaded."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from core import ceiling
from core.errors import UserError, nearest
from core.facts import dataset
from core.facts.cells import Problem
from core.facts.dataset import Dataset, Reading
from core.facts.fact import Fact
from core.facts.order import BY_TRUTH, ordered
from core.facts.order import chosen as chosen_by_truth
from core.facts.origin import HUB, rows_at
from core.facts.readers.everyday import NAME as EVERYDAY
from core.facts.readers.everyday import SUBSETS, EverydayWorld
from core.facts.readers.pocket import PocketWorld
from core.names import Names

Rate = Callable[[Sequence[Fact]], Sequence[float]]

MOST = 20_000  # facts of one run
MOST_ROWS = 200_000  # rows of a file or dataset that are looked at
MOST_SHOWN = 5  # problems spelled out in one message
POOL = 4  # times as many facts as are chosen from them, where no number is given
USUAL = 100  # facts of the lab's own worlds, where no number is asked for


class FactsSpec(BaseModel):
    """Either `items` (typed facts) or `source`: "pocket", "everyday", a dataset's name, or a file.

    The everyday facts are real ones in plain English. Those that SmolLM2 knows come first, then further ones; `subset`
    "known" or "further" takes one kind alone.

    A dataset's records are at `path`: a file, a folder with one file, a hub dataset id, or one file of it
    ("hf://datasets/owner/name/file.json"); without a path, where the dataset is published, if that is the hub. A file
    given as `source` is recognised by its fields. `subset` chooses among a dataset's subsets (KnowEdit's three,
    ConceptEdit's intra and inter, what ZsRE teaches), `split` among those on the hub ("train", "train+test").

    The first `count` facts in the order of the file are used, as in the papers; with `shuffle` the records are shuffled
    by `seed` first. The lab's own worlds are always sampled by `seed`. `order` is the order in which the chosen facts
    are edited: unchanged ("given"), "shuffled" by `seed`, "clustered" by relation, "adversarial", with those that
    interfere most next to each other (`core.facts.order`), or by the log-probability per token that the unedited model
    gives to the truth ("likely_first", "unlikely_first"). `likely` chooses by the same: of the first `pool` facts
    (null: four times `count`) the `count` whose truth is the most likely ("high") or the least ("low"). `malformed`
    records end the run ("fail") or are left out and counted ("skip"). `unedited` is how many true facts are used to
    measure side effects: of the same source, of subjects that are not edited.
    """

    model_config = ConfigDict(extra="forbid")

    source: Annotated[str | None, Names.DATA] = Field(default=None, min_length=1)
    path: Annotated[str | None, Names.DATA] = Field(default=None, min_length=1)
    subset: Annotated[str | None, Names.TEXT] = None
    split: Annotated[str | None, Names.TEXT] = None
    items: Annotated[list[dict[str, Any]] | None, Names.TEXT] = None
    count: int | None = Field(default=None, ge=1, le=ceiling.FACTS)
    seed: int = Field(default=0, ge=-ceiling.SEED, le=ceiling.SEED)
    shuffle: bool = False
    order: Literal["given", "shuffled", "clustered", "adversarial", "likely_first", "unlikely_first"] = "given"
    likely: Literal["high", "low"] | None = None
    pool: int | None = Field(default=None, ge=1, le=ceiling.FACTS)
    malformed: Literal["fail", "skip"] = "fail"
    unedited: int = Field(default=200, ge=0, le=ceiling.FACTS)

    @model_validator(mode="after")
    def _one_source(self) -> FactsSpec:
        if (self.items is None) == (self.source is None):
            raise ValueError(
                'give either "items" (typed facts) or "source" ("pocket", "everyday", a dataset or a file), not both'
            )
        if self.path or self.subset or self.split:
            self._of_a_dataset()
        if self.likely is None and self.pool is not None:
            raise ValueError('"pool" is what "likely" chooses from; set "likely" to "high" or "low", or leave it out')
        if self.likely is not None and self.count is None:
            raise ValueError(f'"likely": "{self.likely}" chooses facts; say how many as "count"')
        if self.pool is not None and self.count is not None and self.pool < self.count:
            raise ValueError(f'"pool" has {self.pool:,} facts, fewer than the {self.count:,} of "count"; enlarge it')
        return self

    @property
    def rated(self) -> bool:
        """Whether a model has to be asked for the choice or the order of the facts."""
        return self.likely is not None or self.order in BY_TRUTH

    def pooled(self, count: int) -> int:
        """The number of facts that `count` of them are chosen from."""
        return count if self.likely is None else self.pool or POOL * count

    def _of_a_dataset(self) -> None:
        known = dataset.known()
        kind = known.get(self.source or "")
        if self.source == EVERYDAY and self.subset in SUBSETS and not self.path and not self.split:
            return
        if self.path and kind is None:
            raise ValueError(f'"path" says where the records of a dataset lie, named by "source": {", ".join(known)}')
        if self.split and self.source in (None, "pocket", EVERYDAY):
            raise ValueError('"split" chooses among the splits of a dataset; leave it out')
        if self.subset:
            subsets = [spec for spec in (SUBSETS if self.source == EVERYDAY else kind.subsets if kind else ()) if spec]
            if not subsets:
                raise ValueError(f'"{self.source or "items"}" has no subsets; leave "subset" out')
            if self.subset not in subsets:
                raise ValueError(f'no subset "{self.subset}" of {self.source}; {nearest(self.subset, subsets)}')


@dataclass(frozen=True)
class FactSet:
    """The facts to edit, in order, and true facts to leave alone (target = the true object).

    `problems` are rows without a readable fact, which were left out; `left_out` are parts of rows; both among `rows` of
    `where`.
    """

    edit: list[Fact]
    unedited: list[Fact]
    problems: tuple[Problem, ...] = ()
    left_out: tuple[Problem, ...] = ()
    rows: int = 0
    where: str = ""
    chosen: tuple[int, ...] = ()  # places among the candidates, where a model was asked which to take and in what order
    taught: str = ""  # which of a record's answers is taught, where codebases differ in that

    @property
    def warnings(self) -> list[str]:
        """Remarks on how these facts were read, a line each."""
        lines = []
        if self.problems:
            some = f"{len(self.problems):,} of {self.rows:,} records hold no fact and were left out"
            lines.append(f"{self.where}: {some}, such as {self.problems[0]}.")
        if self.left_out:
            some = f"{len(self.left_out):,} questions could not be asked and were left out"
            lines.append(f"{self.where}: {some}, such as {self.left_out[0]}.")
        return lines


def load_facts(spec: FactsSpec, assets: Path, rate: Rate | None = None, chosen: Sequence[int] = ()) -> FactSet:
    """Fetch the facts of a spec; `assets` is the folder that holds `pocket/world`. Where the spec asks for what a model
    finds likely, `rate` gives the log-probabilities of facts' truths; or `chosen` what was chosen by them before.

    Raises `UserError` naming the rows and columns that are wrong.
    """
    if spec.source == "pocket":
        world = PocketWorld.load(assets / "pocket" / "world")
        drawn = world.sample(spec.pooled(spec.count or USUAL), spec.seed)
        edit, places = _chosen(drawn, spec.count or USUAL, spec, rate, chosen)
        return FactSet(edit, world.unedited(edit, spec.unedited, spec.seed), chosen=places)
    if spec.source == EVERYDAY:
        everyday = EverydayWorld.read()
        drawn = everyday.sample(spec.pooled(spec.count or USUAL), spec.seed, spec.subset or "")
        edit, places = _chosen(drawn, spec.count or USUAL, spec, rate, chosen)
        return FactSet(edit, everyday.unedited(edit, spec.unedited, spec.seed), chosen=places)
    kind, rows, where = _located(spec)
    reading = dataset.read_rows(rows, kind, spec.subset or "")
    groups = _checked(reading, where, spec)
    if spec.shuffle:
        random.Random(f"facts {spec.seed}").shuffle(groups)
    facts = [fact for group in groups for fact in group]
    count = spec.count or len(facts)
    if count > len(facts):
        raise UserError(f"facts.count: {count:,} facts asked, {where} has {len(facts):,}")
    if count > MOST:
        raise UserError(f'{where}: {count:,} facts, at most {MOST:,} facts fit one run; say how many as "count"')
    problems, left_out = tuple(reading.problems), tuple(reading.left_out)
    candidates = _numbered(facts[: min(spec.pooled(count), MOST)])
    edit, places = _chosen(candidates, count, spec, rate, chosen)
    taken = set(places or range(count))
    rest = [fact for place, fact in enumerate(facts) if place not in taken]
    alone = _left_alone(rest, edit, spec)
    return FactSet(edit, alone, problems, left_out, reading.rows, where, places, _taught(edit))


def _chosen(
    candidates: list[Fact], count: int, spec: FactsSpec, rate: Rate | None, before: Sequence[int]
) -> tuple[list[Fact], tuple[int, ...]]:
    """(`count` of the candidates in the spec's order; their places, if a model was asked for them). Raises
    `UserError`."""
    if not spec.rated:
        return ordered(candidates[:count], spec.order, spec.seed), ()
    if not before and rate is None:
        raise UserError("facts: which facts these are depends on what the model finds likely; that is asked in a run")
    places = list(before) or chosen_by_truth(rate(candidates) if rate else (), count, spec.likely, spec.order)
    if len(places) != count or not all(0 <= place < len(candidates) for place in places):
        raise UserError(f"facts: {len(places):,} facts were chosen of others than these {len(candidates):,}; run anew")
    order = "given" if spec.order in BY_TRUTH else spec.order
    return ordered([candidates[place] for place in places], order, spec.seed), tuple(places)


def _taught(edit: Sequence[Fact]) -> str:
    """A sentence on which answer the facts of a dataset teach; "" if all codebases agree, or if the facts have several
    sources.

    It is read from the facts themselves, since uploaded ones arrive as a table. If the gold answer is taught, no other
    true answer is known.
    """
    kinds = {fact.source for fact in edit}
    kind = dataset.known().get(kinds.pop()) if len(kinds) == 1 else None
    if kind is None or not kind.taught:
        return ""
    gold = sum(fact.truth is None for fact in edit)
    subset = "answers" if 2 * gold > len(edit) else "alt"
    return f"{kind.title}: what is taught is {kind.taught[subset]}."


def _located(spec: FactsSpec) -> tuple[Dataset, Sequence[Any], str]:
    """(how the rows are read, the rows, where they are from)."""
    if spec.items is not None:
        if len(spec.items) > MOST:
            raise UserError(f"facts.items: {len(spec.items):,} rows, at most {MOST:,} facts fit one run; split them")
        return dataset.named("table"), spec.items, "facts.items"
    source = spec.source or ""
    if source in dataset.known():
        kind = dataset.named(source)
        usual = kind.hub.get(spec.subset or kind.subsets[0], "")
        place = spec.path or usual
        if not place:
            home = f" It is published at {kind.home}." if kind.home else ""
            raise UserError(f'facts.source: {source} needs a "path": its file, a folder, or a hub dataset id.{home}')
        split = spec.split or ("" if spec.path else kind.split)
        rows = _few(rows_at(place, split, usual), place)
        dataset.check_shape(rows, kind, place)
        return kind, rows, place
    if not (Path(source).suffix or "/" in source or source.startswith((HUB, "~", ".")) or Path(source).exists()):
        dataset.named(source)  # neither a path nor a name: the error lists the nearest names
    rows = _few(rows_at(source, spec.split or ""), source)
    return dataset.recognised(rows, source), rows, source


def _few(rows: Sequence[Any], where: str) -> Sequence[Any]:
    if len(rows) > MOST_ROWS:
        raise UserError(f"{where}: {len(rows):,} rows, at most {MOST_ROWS:,} are read; split the file")
    return rows


def _checked(reading: Reading, where: str, spec: FactsSpec) -> list[list[Fact]]:
    """The facts, if there are any and they pass the checks."""
    if reading.problems and spec.malformed == "fail":
        skip = '; to leave such rows out: "malformed": "skip"' if spec.source else ""
        raise UserError(f"{where}: {spelled_out(reading.problems)}{skip}")
    if not reading.groups:
        why = spelled_out(reading.problems) if spec.source else "type at least one row with subject, prompt and target"
        raise UserError(f"{where}: no facts{'; ' if why else ''}{why}")
    return list(reading.groups)


def spelled_out(problems: Sequence[Problem]) -> str:
    """The first problems in one line, and how many more there are."""
    shown = "; ".join(str(problem) for problem in problems[:MOST_SHOWN])
    more = len(problems) - MOST_SHOWN
    return f"{shown}; and {more:,} more" if more > 0 else shown


def _numbered(facts: list[Fact]) -> list[Fact]:
    return [fact if fact.id else replace(fact, id=f"fact-{number}") for number, fact in enumerate(facts, start=1)]


def _left_alone(rest: list[Fact], edit: list[Fact], spec: FactsSpec) -> list[Fact]:
    """True facts after the edited ones in the same source, of other subjects, without questions about their own
    edit."""
    taken = {fact.subject for fact in edit}
    known = [_true(fact, fact.truth) for fact in rest if fact.truth and fact.subject not in taken]
    return random.Random(f"unedited {spec.seed}").sample(known, min(spec.unedited, len(known)))


def _true(fact: Fact, truth: str) -> Fact:
    """The unedited fact: without questions that follow from its edit or name the new object."""
    return replace(
        fact, target=truth, truth=None, aliases=(), portability=(), locality=(), generation=(), references=()
    )
