"""Parses typed or tabular rows into facts, or into error messages at the cell that is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from core.errors import nearest
from core.facts.cells import CellError, Problem, clean, is_filled
from core.facts.fact import SLOT, Fact, Neighbor, Question
from core.facts.slot import with_slot

COLUMNS = (
    "subject",
    "prompt",
    "target",
    "truth",
    "paraphrases",
    "neighborhood",
    "portability",
    "locality",
    "aliases",
    "generation",
    "references",
    "passage",
    "relation",
    "kind",
    "id",
)
MOST_PASSAGE = 20_000  # characters
LONGEST_SOURCE = 32


def parse_rows(rows: Iterable[Mapping[str, Any]], source: str = "typed") -> tuple[list[Fact], list[Problem]]:
    """All facts of the rows, and a problem for each row without one.

    Rows whose cells are all empty are skipped, since a table on a page has them. Cells are text, or lists if a field
    has several values; lists as text are separated by `|`.
    """
    facts, problems = [], []
    for number, row in enumerate(rows, start=1):
        try:
            if any(is_filled(value) for value in row.values()):
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
        paraphrases=tuple(_filled(text, subject) for text in _texts(row, "paraphrases")),
        neighborhood=tuple(_neighbor(item) for item in _list(row, "neighborhood")),
        portability=tuple(_question("portability", item) for item in _list(row, "portability")),
        locality=tuple(_question("locality", item) for item in _list(row, "locality")),
        aliases=tuple(text for text in _texts(row, "aliases") if text != target),
        generation=tuple(_filled(text, subject) for text in _texts(row, "generation")),
        references=_texts(row, "references"),
        passage=clean(row.get("passage"), "passage", MOST_PASSAGE),
        relation=_text(row, "relation") or None,
        kind=_text(row, "kind"),
        id=_text(row, "id"),
        source=source_of(row) or source,
    )


def source_of(row: Mapping[str, Any]) -> str:
    """The name of the dataset that a row was read from, as an upload stores it; "" if the row names none."""
    source = row.get("source")
    return source if isinstance(source, str) and source.isidentifier() and len(source) <= LONGEST_SOURCE else ""


def _filled(prompt: str, subject: str) -> str:
    return prompt.replace(SLOT, subject, 1)


def _text(row: Mapping[str, Any], column: str, required: str = "") -> str:
    text = clean(row.get(column), column)
    if required and not text:
        raise CellError(column, f"empty: {required}")
    return text


def _list(row: Mapping[str, Any], column: str) -> list[Any]:
    value = row.get(column)
    if not is_filled(value):
        return []
    items = value.split("|") if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)):
        raise CellError(column, "must be a list, or text separated by |")
    return [item for item in items if is_filled(item)]


def _texts(row: Mapping[str, Any], column: str) -> tuple[str, ...]:
    return tuple(text for item in _list(row, column) if (text := clean(item, column)))


def _neighbor(item: Any) -> Neighbor:
    entry = _entry("neighborhood", item, Neighbor)
    return Neighbor(**{name: clean(value, "neighborhood") for name, value in entry.items()})


def _question(column: str, item: Any) -> Question:
    entry = _entry(column, item, Question)
    texts = {name: clean(value, column) for name, value in entry.items() if name != "aliases"}
    return Question(**{name: text for name, text in texts.items() if text}, aliases=_texts(entry, "aliases"))


def _entry(column: str, item: Any, kind: type[Neighbor] | type[Question]) -> Mapping[str, Any]:
    """A neighbor or question: `{"prompt": …, "answer": …}`, or as text `prompt => answer`."""
    if isinstance(item, str):
        prompt, arrow, answer = item.partition("=>")
        item = {"prompt": prompt, "answer": answer} if arrow else {}
    if not isinstance(item, Mapping) or not is_filled(item.get("prompt")) or not is_filled(item.get("answer")):
        raise CellError(column, "each entry needs a prompt and an answer: prompt => answer")
    known = [entry.name for entry in fields(kind)]
    if unknown := {str(name) for name in item} - set(known):
        raise CellError(column, f'unknown field "{min(unknown)}"; {nearest(min(unknown), known)}')
    return item
