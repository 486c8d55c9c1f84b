"""Texts for layer statistics: a text file, a dataset, or the text of the embedded world. Streamed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from core.errors import UserError, nearest


@dataclass(frozen=True)
class Corpus:
    """`name` changes with the content; `texts()` reads again from the first text. Blank texts are left out."""

    name: str
    texts: Callable[[], Iterable[str]]


def file_corpus(path: Path, where: str) -> Corpus:
    """A UTF-8 text file, a paragraph a line, named by the SHA-256 of its texts. `where` begins messages.

    Raises `UserError` for a file that cannot be read or holds no text.
    """
    try:
        name = hash_texts(lines(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{where}: {path} cannot be read as UTF-8 text ({error})") from None
    if name == hash_texts([]):
        raise UserError(f"{where}: {path} is empty; give a text file with a paragraph a line")
    return Corpus(name, lambda: lines(path))


def lines(path: Path) -> Iterator[str]:
    """The lines of a text file that are not blank, one at a time."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.strip():
                yield line.rstrip("\n")


def hash_texts(texts: Iterable[str]) -> str:
    """A name for a corpus: SHA-256 of its texts in order."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(f"{len(text)} ".encode() + text.encode())
    return digest.hexdigest()


def dataset_corpus(reference: str, subset: str | None, split: str, column: str, where: str) -> Corpus:
    """A column of a dataset for the `datasets` library: a hub id, or a folder of text, JSON, CSV or Parquet files.

    Streamed: only what is read is downloaded. Named by the library's hash of the version and its files. Raises
    `UserError` for a dataset, subset, split or column that does not exist. `where` begins messages.
    """
    datasets = import_module("datasets")
    folder = Path(reference).expanduser()
    source = str(folder) if folder.is_dir() else reference
    try:
        builder = datasets.load_dataset_builder(source, subset)
        stream = builder.as_streaming_dataset(split=split)
        first = next(iter(stream), None)
    except Exception as error:  # the library raises nearly every kind
        raise UserError(
            f'{where}: the dataset "{reference}" cannot be read: {reason(error)}. Give a hub id or a folder, with its'
            " subset and split if it has several."
        ) from error
    if first is None:
        raise UserError(f'{where}: the split "{split}" of the dataset "{reference}" is empty')
    if not isinstance(first.get(column), str):
        texts_of = [name for name, value in first.items() if isinstance(value, str)]
        raise UserError(
            f'{where}: the dataset "{reference}" has no text column "{column}"; {nearest(column, texts_of)}'
        )

    def texts() -> Iterator[str]:
        return (text for row in builder.as_streaming_dataset(split=split) if (text := text_of(row, column)))

    return Corpus(f"dataset {reference} {subset or ''} {split} {column} {builder.hash}", texts)


def text_of(row: dict[str, Any], column: str) -> str:
    """A row's text; "" if it is missing or blank."""
    text = row.get(column)
    return text if isinstance(text, str) and text.strip() else ""


def reason(error: Exception) -> str:
    """The first line of a library's error message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:300]
