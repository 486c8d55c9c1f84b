"""From what a person types or a file holds to facts, or to a message at the cell that is wrong."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import nearest
from core.facts.fact import SLOT, Fact, Neighbor, Question

COLUMNS = ("subject", "prompt", "target", "truth", "paraphrases", "neighborhood", "portability", "relation", "id")
LONGEST = 2_000  # characters of one cell: a prompt longer than this is a pasted document, not a fact


@dataclass(frozen=True)
class Problem:
    """What is wrong, and where: `row` counts from 1; `column` is one of `COLUMNS`, or "" for the whole row."""

    row: int
    column: str
    message: str

    def __str__(self) -> str:
        return f"row {self.row}{', ' + self.column if self.column else ''}: {self.message}"


class CellError(ValueError):
    """A cell that cannot be read: raised while a row is parsed, turned into a `Problem` with its row."""

    def __init__(self, column: str, message: str):
        super().__init__(message)
        self.column = column


def parse_rows(rows: Iterable[Mapping[str, Any]], source: str = "typed") -> tuple[list[Fact], list[Problem]]:
    """All facts that the rows hold, and a problem for each row that holds none.

    Rows whose cells are all empty are passed over, as a table on a page has them. Cells are text, or lists where a
    field holds several values; lists as text are separated by `|`.
    """
    facts, problems = [], []
    for number, row in enumerate(rows, start=1):
        try:
            if any(_is_filled(value) for value in row.values()):
                facts.append(parse_row(row, source))
        except CellError as error:
            problems.append(Problem(number, error.column, str(error)))
    return facts, problems


def parse_row(row: Mapping[str, Any], source: str = "typed") -> Fact:
    """One row as a fact; raises `CellError` naming the column that is wrong."""
    for column in row:
        if column not in COLUMNS and column != "source":
            raise CellError("", f'unknown column "{column}"; {nearest(str(column), COLUMNS)}')
    subject = _text(row, "subject", required="type what the fact is about, e.g. France")
    prompt = _text(row, "prompt", required="type a sentence without its last word, e.g. The capital of {} is")
    target = _text(row, "target", required="type what the model should say instead, e.g. Lyon")
    truth = _text(row, "truth") or None
    if truth == target:
        raise CellError("target", f'"{target}" is also the old answer: there is nothing to edit; type another target')
    return Fact(
        subject=subject,
        prompt=with_slot(prompt, subject),
        target=target,
        truth=truth,
        paraphrases=tuple(_filled(text, subject) for text in _list(row, "paraphrases")),
        neighborhood=tuple(_pair(Neighbor, "neighborhood", item) for item in _list(row, "neighborhood")),
        portability=tuple(_pair(Question, "portability", item) for item in _list(row, "portability")),
        relation=_text(row, "relation") or None,
        id=_text(row, "id"),
        source=source,
    )


def with_slot(prompt: str, subject: str) -> str:
    """The prompt with exactly one slot: where it names the subject literally, that place becomes the slot."""
    slots = prompt.count(SLOT)
    if slots == 1:
        return prompt
    if slots > 1:
        raise CellError("prompt", f"{slots} slots {SLOT}: leave one, at the subject whose last token is to be edited")
    found = prompt.count(subject)
    if found == 1:
        return prompt.replace(subject, SLOT)
    if found == 0:
        raise CellError("prompt", f'does not mention its subject "{subject}": write {SLOT} where the subject goes')
    raise CellError("prompt", f'mentions "{subject}" {found} times: write {SLOT} at the one that is to be edited')


def _filled(prompt: str, subject: str) -> str:
    return prompt.replace(SLOT, subject, 1)


def _is_filled(value: Any) -> bool:
    if value is None or value != value:  # NaN: how tables hold nothing
        return False
    return bool(value.strip()) if isinstance(value, str) else bool(value)


def _text(row: Mapping[str, Any], column: str, required: str = "") -> str:
    value = row.get(column)
    if not _is_filled(value):
        if required:
            raise CellError(column, f"empty: {required}")
        return ""
    if isinstance(value, (list, tuple, dict)):
        raise CellError(column, "must be text, not a list")
    text = unicodedata.normalize("NFC", str(value)).replace("\x00", "").strip()
    if len(text) > LONGEST:
        raise CellError(column, f"{len(text):,} characters: at most {LONGEST:,}")
    return text


def _list(row: Mapping[str, Any], column: str) -> list[Any]:
    value = row.get(column)
    if not _is_filled(value):
        return []
    items = value.split("|") if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)):
        raise CellError(column, "must be a list, or text separated by |")
    return [item.strip() if isinstance(item, str) else item for item in items if _is_filled(item)]


def _pair(kind: type, column: str, item: Any) -> Any:
    """A neighbor or question: `{"prompt": …, "answer": …}`, or as text `prompt => answer`."""
    if isinstance(item, str):
        prompt, arrow, answer = item.partition("=>")
        item = {"prompt": prompt.strip(), "answer": answer.strip()} if arrow else {}
    if not isinstance(item, Mapping) or not item.get("prompt") or not item.get("answer"):
        raise CellError(column, "each entry needs a prompt and an answer: prompt => answer")
    known = {name: str(item[name]).strip() for name in kind.__dataclass_fields__ if name in item}
    if unknown := set(item) - set(known):
        raise CellError(column, f'unknown field "{min(unknown)}"; {nearest(min(unknown), kind.__dataclass_fields__)}')
    return kind(**known)
