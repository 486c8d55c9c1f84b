"""Our own columns, in any file of rows; `core.facts.fact.Fact` defines them.

Required: `subject`, `prompt` (with `{}` for the subject, or naming it once), `target`. Texts: `truth`, `relation`,
`id`, `passage`. Lists, in CSV separated by `|`: `paraphrases`, `aliases`, `generation`, `references`; `neighborhood`,
`portability` and `locality` with entries `prompt => answer`, or in JSON `{"prompt", "answer"}`, questions also with
`kind` and `aliases`.
"""

from __future__ import annotations

from core.facts.cells import is_filled
from core.facts.dataset import Dataset
from core.facts.fact import Fact
from core.facts.record import Record
from core.facts.typed import parse_row


def read(record: Record, subset: str = "") -> list[Fact]:
    """The fact of a row; none if all its cells are empty."""
    return [parse_row(record.data)] if any(is_filled(value) for value in record.data.values()) else []


DATASET = Dataset(
    name="table",
    title="A table of facts",
    read=read,
    shapes=(("subject", "prompt", "target"),),
)
