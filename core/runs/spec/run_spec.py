"""The spec of a run and its validation. Every problem is reported with its place. Needs no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from core import ceiling
from core.errors import UserError
from core.facts.source import FactsSpec
from core.facts.typed import Problem, parse_rows
from core.json_text import JsonError, loads
from core.measures.config import MeasureConfig
from core.names import Names
from core.runs.progress.events import SINGLE
from core.runs.spec.lanes import check_lanes, labelled
from core.runs.spec.left_out import too_late
from core.runs.spec.problems import SpecError, SpecProblem, path, problems_of, shown

MOST_FACTS = 20_000  # facts of one run, unless its home says otherwise
MOST_ROWS = ceiling.FACTS  # rows that are looked at, at all
DEEPEST = 12  # levels of lists and objects inside each other
LARGEST_FILE = 128 * 2**20  # bytes
LONGEST_BITS = 63  # of a whole number: more no table and no database holds
CELLS = ("facts", "items")  # where numbers are text: their length is looked at with the cell
BRANCHED = "single edits begin with the unedited model, so there is no round to branch from; leave it out"
DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d{1,2})?")


def _device(name: str) -> str:
    if not DEVICE.fullmatch(name):
        raise ValueError(f'no device is called "{name[:60]}"; use auto, cpu, mps, cuda or cuda:<number>')
    return name


class StatisticsSpec(BaseModel):
    """How the second moments C0 of the keys are estimated, where a lane needs them.

    `tokens`: how many (null: the model's default). They are read from `texts`, a text file with one paragraph per line,
    or from the `column` of a `dataset` with its `subset` and `split`: a hub id, or a folder of text, JSON, CSV or
    Parquet files, streamed. Default: text that the unedited model
    samples itself, and for the pocket model that of its world. `skip_bos` leaves out each text's first token.
    """

    model_config = ConfigDict(extra="forbid")

    tokens: int | None = Field(default=None, ge=1, le=ceiling.STATISTICS_TOKENS)
    texts: Annotated[str | None, Names.DATA] = None
    dataset: Annotated[str | None, Names.DATA] = Field(default=None, min_length=1)
    subset: Annotated[str | None, Names.TEXT] = None
    split: Annotated[str, Names.TEXT] = Field(default="train", min_length=1)
    column: Annotated[str, Names.TEXT] = Field(default="text", min_length=1)
    skip_bos: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> StatisticsSpec:
        if self.texts is not None and self.dataset is not None:
            raise ValueError("give texts or a dataset, not both")
        return self

    @property
    def general(self) -> bool:
        """Whether the spec names texts of its own."""
        return self.texts is not None or self.dataset is not None


class RunSpec(BaseModel):
    """One run: the same facts, in the same order, under several recipes.

    A lane is `{"method", "guards": [{"name", …}], "prior", "name", …}` with any hyperparameter of its method. It may
    branch `"from": {"lane", "round"}` and leave out facts by `"without": [indices]`. `chat`: every prompt is a user's
    message in the chat template of the model's tokenizer, and answers begin the assistant's turn, also in tasks (texts
    that are only read do not change). `protocol`: "sequential" edits every round on top of the rounds before it,
    "single" on the unedited model, which is restored between rounds; a round then has one fact unless `round_size` says
    how many are edited together. `resolved` has the resolved defaults of an earlier run of this spec, from its
    `spec.json`; the new run reports differences when it begins.
    """

    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, Names.TEXT] = Field(default="", max_length=200)
    model: Annotated[str, Names.MODEL] = Field(default="pocket", min_length=1)
    chat: bool = False
    facts: FactsSpec
    protocol: Literal["sequential", "single"] = "sequential"
    round_size: int = Field(default=100, ge=1, le=ceiling.FACTS)
    lanes: Annotated[list[dict[str, Any]], Names.TEXT] = Field(min_length=1, max_length=24)
    measure: MeasureConfig = Field(default_factory=MeasureConfig)
    statistics: StatisticsSpec = Field(default_factory=StatisticsSpec)
    seed: int = Field(default=0, ge=0, lt=2**31)
    device: Annotated[str, AfterValidator(_device)] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16", "float64"] = "auto"
    resolved: Annotated[dict[str, Any] | None, Names.TEXT] = None

    @model_validator(mode="before")
    @classmethod
    def _one_by_one(cls, data: Any) -> Any:
        """Single edits are of one fact each where nothing else is said."""
        single = isinstance(data, Mapping) and data.get("protocol") == SINGLE and "round_size" not in data
        return {**data, "round_size": 1} if single else data

    @classmethod
    def from_dict(cls, data: Any, max_facts: int = MOST_FACTS) -> RunSpec:
        """The spec in a dictionary. Raises `SpecError` with all its problems."""
        if not isinstance(data, Mapping):
            raise SpecError([SpecProblem("", "a spec is an object: {…} with at least facts and lanes")])
        problems = _unwritable(data) or _too_many(data, max_facts)
        if problems:
            raise SpecError(problems)
        spec = None
        try:
            spec = cls.model_validate(dict(data))
        except ValidationError as error:
            problems += problems_of(error, cls)
        reported = {problem.where for problem in problems}
        problems += [problem for problem in _typed(data) if problem.where not in reported]
        problems += check_lanes(data.get("lanes")) or too_late(data.get("lanes"), data.get("round_size", 100))
        problems += _branched(data) if not problems else []
        if problems or spec is None:
            raise SpecError(problems)
        spec.lanes = labelled(spec.lanes)
        return spec

    @classmethod
    def from_json(cls, file: Path | str, max_facts: int = MOST_FACTS) -> RunSpec:
        """The spec in a JSON file. Raises `UserError` that names the file and the line."""
        file = Path(file)
        try:
            if file.stat().st_size > LARGEST_FILE:
                raise UserError(
                    f"{file}: larger than {LARGEST_FILE // 2**20} MiB; put the facts into a file of their own"
                )
            data = loads(file.read_text(encoding="utf-8-sig"))
        except OSError as error:
            raise UserError(f"{file}: {error.strerror}; give the path of a JSON file that holds a spec") from None
        except UnicodeDecodeError as error:
            raise UserError(f"{file}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
        except JsonError as error:
            where = f", line {error.line}, column {error.column}" if error.broken else ""
            raise UserError(f"{file}{where}: {error}") from None
        return cls.from_dict(data, max_facts)

    def as_dict(self) -> dict[str, Any]:
        """The spec with all its defaults, in JSON types; the inverse of `from_dict`."""
        return self.model_dump(mode="json", exclude={"resolved"} if self.resolved is None else None)

    def labels(self) -> list[str]:
        """The lanes' labels, in order."""
        return [lane["name"] for lane in self.lanes]


def _branched(data: Mapping[str, Any]) -> list[SpecProblem]:
    """Problems of lanes that branch, where every round begins with the unedited model."""
    lanes = data["lanes"] if data.get("protocol") == SINGLE else ()
    return [SpecProblem(f"lanes[{i}].from", BRANCHED) for i, lane in enumerate(lanes) if lane.get("from")]


def _too_many(data: Mapping[str, Any], max_facts: int) -> list[SpecProblem]:
    """Problems of too many facts. This is checked first, since all other checks take time."""
    facts = data.get("facts")
    if not isinstance(facts, Mapping):
        return []
    items, count = facts.get("items"), facts.get("count")
    if isinstance(items, list) and len(items) > min(max_facts, MOST_ROWS):
        message = f"{len(items):,} rows, at most {max_facts:,} facts fit one run; split them into several runs"
        return [SpecProblem("facts.items", message)]
    if isinstance(count, int) and count > max_facts:
        return [SpecProblem("facts.count", f"{count:,} facts, at most {max_facts:,} fit one run; ask for fewer")]
    return []


def _unwritable(value: Any, where: tuple[int | str, ...] = ()) -> list[SpecProblem]:
    """The first value that no file or database can hold: JSON allows lone surrogates ("\\ud83d") and numbers of any
    length."""
    if len(where) > DEEPEST:
        return [SpecProblem(path(where[:3]), "nested too deeply to be part of a spec")]
    if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
        return [SpecProblem(path(where), "holds half of a character (a lone surrogate); type it anew")]
    if isinstance(value, int) and value.bit_length() > LONGEST_BITS and where[:2] != CELLS:
        return [SpecProblem(path(where), "a whole number of more than 18 digits; give a smaller one")]
    parts = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        if not isinstance(key, (str, int)):
            return [SpecProblem(path(where), f"its fields are named by text, not {shown(key)}")]
        if problems := _unwritable(key, where) or _unwritable(part, (*where, key)):
            return problems
    return []


def _typed(data: Mapping[str, Any]) -> list[SpecProblem]:
    """Problems of facts that are listed in the spec itself."""
    facts = data.get("facts")
    items = facts.get("items") if isinstance(facts, Mapping) else None
    if not isinstance(items, list):
        return []
    rows = [item for item in items if isinstance(item, Mapping)]
    if len(rows) < len(items):  # pydantic reports where
        return []
    parsed, problems = parse_rows(rows)
    if not parsed and not problems:
        return [SpecProblem("facts.items", "no facts; give at least one row with subject, prompt and target")]
    return [_placed(problem) for problem in problems]


def _placed(problem: Problem) -> SpecProblem:
    where = f"facts.items[{problem.row - 1}]"
    return SpecProblem(f"{where}.{problem.column}" if problem.column else where, problem.message)
