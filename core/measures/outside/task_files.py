"""Tasks in files: one row per line, multiple choice or in the form of a paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.json_text import JsonError, loads
from core.measures.outside.task_forms import Form, form_of

CHOICE = '{"prompt": ..., "choices": [...], "answer": index}'


def task_rows(file: Path) -> tuple[Form | None, list[dict[str, Any]]]:
    """(the paper's form that the rows have, or None for multiple choice; the rows). `UserError` names a wrong line."""
    form: Form | None = None
    rows: list[dict[str, Any]] = []
    for number, row, why in _parsed(file):
        if not rows and isinstance(row, dict) and "prompt" not in row:
            form = form_of(row, file.stem)
        good = _choice(row) if form is None else row if isinstance(row, dict) and form.fits(row) else None
        if good is None:
            what = CHOICE if form is None else f"of {form.source}: {', '.join(form.fields)}"
            raise UserError(f"{file}, line {number}: a task row is {what} ({why})")
        rows.append(good)
    if not rows:
        raise UserError(f"{file}: no rows; a task needs at least one")
    return form, rows


def _parsed(file: Path) -> Iterator[tuple[int, Any, str]]:
    """(line number, its content, the error if there is one)."""
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    for number, line in enumerate(lines, 1):
        if line.strip():
            row, why = None, "a field is missing, or of another kind"
            try:
                row = loads(line)
            except JsonError as error:
                why = str(error)
            yield number, row, why


def _choice(row: Any) -> dict[str, Any] | None:
    match row:
        case {"prompt": str(prompt), "choices": [*choices], "answer": int(answer)} if 0 <= answer < len(choices):
            return {"prompt": prompt, "choices": choices, "answer": answer}
    return None
