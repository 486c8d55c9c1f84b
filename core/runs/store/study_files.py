"""Results of the command line's studies as files of a run's folder. Needs no torch.

`study-<key>.json` holds all of a result, `study-<key>-<table>.csv` each of its tables. The key is the study's name; a
second result of it has "-2" behind it, and so on, or the name that was asked for. Those of the page's studies are kept
by `core.runs.store.study_queue`, in a folder of their own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from core.errors import UserError, nearest
from core.runs.store.folder import csv_text, replace_text
from core.runs.store.study_queue import FOLDER

FIRST = "study-"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.]{0,40}")  # without "-", which parts names


@dataclass(frozen=True, kw_only=True)
class StudyFile:
    """A result: its `key`, the file with all of it, the study's name, its options (all of them), lanes, rounds as they
    were asked for, when it was found (seconds since 1970), how many rows its tables have, and why some have none."""

    key: str
    file: Path
    study: str
    options: Mapping[str, Any]
    lanes: list[str]
    rounds: str
    created: float
    tables: Mapping[str, int]
    empty: list[dict[str, str]]

    @classmethod
    def read(cls, file: Path) -> StudyFile | None:
        """A file's result; None if it holds none."""
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            rounds = sorted({number for numbers in found["rounds"].values() for number in numbers})
            return cls(
                key=file.stem.removeprefix(FIRST),
                file=file,
                study=found["study"],
                options=found["options"],
                lanes=list(found["lanes"]),
                rounds=found.get("asked_rounds") or ",".join(map(str, rounds)),  # older files have no such field
                created=found.get("created") or file.stat().st_mtime,
                tables={name: len(rows) for name, rows in found["tables"].items()},
                empty=list(found.get("empty") or ()),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None


def files(folder: Path) -> list[Path]:
    """The files with results of the command line in a run's folder."""
    return sorted(folder.glob(f"{FIRST}*.json"))


def results(folder: Path, pages: bool = True) -> list[StudyFile]:
    """The results in a run's folder, newest first; with those of the page's studies, unless they are not wanted."""
    found = [*files(folder), *(sorted(folder.glob(f"{FOLDER}/*.json")) if pages else ())]
    return sorted((one for file in found if (one := StudyFile.read(file))), key=lambda one: one.created, reverse=True)


def result(folder: Path, key: str, pages: bool = True) -> StudyFile:
    """The result of that key; raises `UserError` if there is none."""
    there = {one.key: one for one in results(folder, pages)}
    if key not in there:
        raise UserError(f'there is no result "{key}"; {nearest(key, sorted(there))}' if there else "no study was kept")
    return there[key]


def free_key(folder: Path, study: str, name: str | None = None) -> str:
    """The key of a new result; raises `UserError` for a `name` that is taken, or that no file could have."""
    if name is None:
        keys = (study if number == 1 else f"{study}-{number}" for number in count(1))
        return next(key for key in keys if not (folder / f"{FIRST}{key}.json").exists())
    if not NAME.fullmatch(name):
        raise UserError(f'--name: "{name}" should be letters, digits, dots and underscores, at most 41')
    key = f"{study}-{name}"
    if (folder / f"{FIRST}{key}.json").exists():
        raise UserError(f'there is a result "{key}" already: choose another --name, or delete it by --delete {key}')
    return key


def write(found: Mapping[str, Any], folder: Path, key: str) -> list[Path]:
    """The files of a result, the one with all of it first. The CSV of a table without rows says why."""
    why: dict[str, list[dict[str, str]]] = {}
    for row in found.get("empty") or ():
        why.setdefault(row["table"], []).append({"lane": row["lane"], "why_empty": row["why"]})
    written = [folder / f"{FIRST}{key}.json"]
    replace_text(written[0], json.dumps(found, ensure_ascii=False, allow_nan=False) + "\n")
    for name, rows in found["tables"].items():
        rows = rows or why.get(name, [])
        columns = list(dict.fromkeys(column for row in rows for column in row)) or ["lane"]
        written.append(folder / f"{FIRST}{key}-{name}.csv")
        replace_text(written[-1], csv_text(columns, rows))
    return written


def delete(one: StudyFile) -> list[Path]:
    """Delete a result with its tables; returns the files that are gone."""
    there = [one.file, *(one.file.with_name(f"{one.file.stem}-{name}.csv") for name in one.tables)]
    gone = [file for file in there if file.exists()]
    for file in gone:
        file.unlink()
    return gone
