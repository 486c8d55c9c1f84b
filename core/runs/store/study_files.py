"""Results of the command line's studies as files of a run's folder. Needs no torch.

`study-<key>.json` holds a whole result, `study-<key>-<table>.csv` each of its tables. The key is the study's name, with
"-2" and so on for further results, or with the name given by `--name`. Results of the page's studies are stored by
`core.runs.store.study_queue`, in a folder of their own.
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
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.]{0,40}")  # without "-", which separates the parts of a key


@dataclass(frozen=True, kw_only=True)
class StudyFile:
    """A result: its `key`, its `file`, the study's name, all its options, its lanes, its rounds as requested, when it
    was made (`created`, seconds since 1970), the number of rows of each table, and why tables are `empty`."""

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
        """The result in a file; None if the file holds none."""
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
            rounds = sorted({number for numbers in stored["rounds"].values() for number in numbers})
            return cls(
                key=file.stem.removeprefix(FIRST),
                file=file,
                study=stored["study"],
                options=stored["options"],
                lanes=list(stored["lanes"]),
                rounds=stored.get("asked_rounds") or ",".join(map(str, rounds)),  # older files have no such field
                created=stored.get("created") or file.stat().st_mtime,
                tables={name: len(rows) for name, rows in stored["tables"].items()},
                empty=list(stored.get("empty") or ()),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None


def files(folder: Path) -> list[Path]:
    """The files in a run's folder with results of the command line."""
    return sorted(folder.glob(f"{FIRST}*.json"))


def results(folder: Path, pages: bool = True) -> list[StudyFile]:
    """The results in a run's folder, newest first. `pages`: with results of the page's studies."""
    paths = [*files(folder), *(sorted(folder.glob(f"{FOLDER}/*.json")) if pages else ())]
    return sorted(
        (entry for file in paths if (entry := StudyFile.read(file))), key=lambda entry: entry.created, reverse=True
    )


def result(folder: Path, key: str, pages: bool = True) -> StudyFile:
    """The result of that key; raises `UserError` if there is none."""
    by_key = {entry.key: entry for entry in results(folder, pages)}
    if key not in by_key:
        raise UserError(
            f'there is no result "{key}"; {nearest(key, sorted(by_key))}' if by_key else "no study was kept"
        )
    return by_key[key]


def free_key(folder: Path, study: str, name: str | None = None) -> str:
    """The key of a new result. Raises `UserError` for a `name` that is taken or that is not valid in a file name."""
    if name is None:
        keys = (study if number == 1 else f"{study}-{number}" for number in count(1))
        return next(key for key in keys if not (folder / f"{FIRST}{key}.json").exists())
    if not NAME.fullmatch(name):
        raise UserError(f'--name: "{name}" should be letters, digits, dots and underscores, at most 41')
    key = f"{study}-{name}"
    if (folder / f"{FIRST}{key}.json").exists():
        raise UserError(f'there is a result "{key}" already: choose another --name, or delete it by --delete {key}')
    return key


def write(study_result: Mapping[str, Any], folder: Path, key: str) -> list[Path]:
    """Write a result; returns its files, the JSON file first. The CSV of an empty table says why it is empty."""
    why: dict[str, list[dict[str, str]]] = {}
    for row in study_result.get("empty") or ():
        why.setdefault(row["table"], []).append({"lane": row["lane"], "why_empty": row["why"]})
    written = [folder / f"{FIRST}{key}.json"]
    replace_text(written[0], json.dumps(study_result, ensure_ascii=False, allow_nan=False) + "\n")
    for name, rows in study_result["tables"].items():
        rows = rows or why.get(name, [])
        columns = list(dict.fromkeys(column for row in rows for column in row)) or ["lane"]
        written.append(folder / f"{FIRST}{key}-{name}.csv")
        replace_text(written[-1], csv_text(columns, rows))
    return written


def delete(stored: StudyFile) -> list[Path]:
    """Delete a result with its tables; returns the deleted files."""
    candidates = [stored.file, *(stored.file.with_name(f"{stored.file.stem}-{name}.csv") for name in stored.tables)]
    deleted = [file for file in candidates if file.exists()]
    for file in deleted:
        file.unlink()
    return deleted
