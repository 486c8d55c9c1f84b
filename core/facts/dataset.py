"""Datasets: how their records are recognised and read, and where they come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from core.errors import UserError, nearest
from core.facts.cells import CellError, Problem, one_line
from core.facts.fact import Fact
from core.facts.record import Record

LOOKED_AT = 100  # records that tell which dataset a file holds
SHOWN = 8  # field names in a message


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """`read(record, subset)` gives the facts of one record, none if it is blank, or raises `CellError`.

    `shapes` are sets of fields; a record with all fields of any of them is of this dataset. `subsets` are the ways in
    which it can be read, the default first. `hub` maps a subset ("" for all) to where it is fetched when no path is
    given: a hub dataset id, or `hf://datasets/<id>/<file>`; `split` says which part of that. `home` says where it was
    published. If codebases teach different answers of a record, `taught` says which one each subset teaches.
    """

    name: str
    title: str
    read: Callable[[Record, str], list[Fact]]
    shapes: tuple[tuple[str, ...], ...]
    home: str = ""
    subsets: tuple[str, ...] = ("",)
    taught: Mapping[str, str] = field(default_factory=dict)
    hub: Mapping[str, str] = field(default_factory=dict)
    split: str = ""

    def fits(self, row: Any) -> bool:
        """Whether a row has the fields of one of the shapes."""
        return isinstance(row, Mapping) and any(set(shape) <= set(row) for shape in self.shapes)

    def looks(self) -> str:
        """The shapes in words."""
        return f"{self.name} ({' or '.join(', '.join(shape) for shape in self.shapes)})"


@dataclass(frozen=True)
class Reading:
    """The content of a sequence of rows: the facts of each row that has some, rows without facts, and parts left
    out."""

    groups: list[list[Fact]]
    problems: list[Problem]
    left_out: list[Problem]
    rows: int


def known() -> dict[str, Dataset]:
    """All datasets by name: those that the files in `core/facts/readers` export as `DATASET`."""
    modules = sorted(path.stem for path in (Path(__file__).parent / "readers").glob("[a-z]*.py"))
    datasets = (getattr(import_module(f"core.facts.readers.{name}"), "DATASET", None) for name in modules)
    return {dataset.name: dataset for dataset in datasets if dataset}


def read_rows(rows: Sequence[Any], dataset: Dataset, subset: str = "") -> Reading:
    """Read every row; one that cannot be read becomes a problem with its number and field."""
    reading = Reading([], [], [], len(rows))
    for number, row in enumerate(rows, start=1):
        try:
            if isinstance(row, CellError):
                raise row
            group = dataset.read(Record(row, number, left_out=reading.left_out), subset or dataset.subsets[0])
        except CellError as error:
            reading.problems.append(Problem(number, error.column, str(error)))
        else:
            if group:
                reading.groups.append(group)
    return reading


def recognised(rows: Sequence[Any], where: str) -> Dataset:
    """The dataset whose fields the first rows have. Raises `UserError`, with the fields that were searched for, if that
    is none or several.

    Rows with most of the columns of our own tables count as such, so that a missing or misspelt column is reported at
    its cell.
    """
    datasets = known()
    some = [row for row in rows[:LOOKED_AT] if isinstance(row, Mapping)]
    if not some:
        return datasets["table"]
    fitting = [dataset for dataset in datasets.values() if any(dataset.fits(row) for row in some)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = " and ".join(dataset.name for dataset in fitting)
        raise UserError(f'{where}: has the fields of {names}; say which, as "source" with the file as "path"')
    table = datasets["table"]
    columns = {name for shape in table.shapes for name in shape}
    if any(columns & set(row) and "target_new" not in row for row in some):
        return table
    raise UserError(
        f"{where}: not recognised by its fields ({_fields(some[0])}); looked for "
        f'{"; ".join(dataset.looks() for dataset in datasets.values())}. Name it as "source" with the file as "path"'
    )


def check_shape(rows: Sequence[Any], dataset: Dataset, where: str) -> None:
    """Raises `UserError` if none of the first rows has the fields of the given dataset."""
    some = [row for row in rows[:LOOKED_AT] if isinstance(row, Mapping)]
    if not some or any(dataset.fits(row) for row in some):
        return
    others = [other.name for other in known().values() if any(other.fits(row) for row in some)]
    hint = f"it looks like {' or '.join(others)}" if others else f"its fields are {_fields(some[0])}"
    raise UserError(f"{where}: holds no records of {dataset.looks()}; {hint}")


def named(name: str) -> Dataset:
    """A dataset by its name. Raises `UserError` with the nearest name."""
    datasets = known()
    if name not in datasets:
        names = [*datasets, "pocket", "everyday"]
        raise UserError(f'facts.source: there is no dataset or file "{name}"; {nearest(name, names)}')
    return datasets[name]


def _fields(row: Mapping[str, Any]) -> str:
    names = [one_line(str(name)) for name in row]
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "") or "none"
