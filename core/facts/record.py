"""One record of a dataset, read field by field. Errors name the field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from core.facts.cells import LONGEST, CellError, Problem, clean, is_filled
from core.facts.fact import Fact, Question
from core.facts.slot import slotted

DEEPEST = 8  # lists inside lists


class Record:
    """An object with named fields, at `where` inside the record `row` (counted from 1).

    Fields that are null or blank count as absent. Reading one of another type than expected raises `CellError`.
    `left_out` collects parts of the record without content (a question without an answer); the rest is still used.
    """

    def __init__(self, data: Any, row: int = 1, where: str = "", left_out: list[Problem] | None = None):
        if not isinstance(data, Mapping):
            raise CellError(where, "should be an object with named fields")
        self.data, self.row, self.where = data, row, where
        self.left_out: list[Problem] = [] if left_out is None else left_out

    def __contains__(self, name: str) -> bool:
        return is_filled(self.data.get(name))

    def at(self, name: str) -> str:
        """The path of a field, for messages."""
        return f"{self.where}.{name}" if self.where else name

    def text(self, name: str, longest: int | None = None) -> str:
        """A text, or a number as text; "" if absent."""
        return clean(self.data.get(name), self.at(name), *([longest] if longest else []))

    def need(self, name: str) -> str:
        """A required text."""
        if text := self.text(name):
            return text
        raise CellError(self.at(name), "empty" if name in self.data else "missing")

    def texts(self, name: str, longest: int = LONGEST) -> tuple[str, ...]:
        """All texts of a field that holds one, a list, or lists of lists: in order, each once, without blanks."""
        return tuple(dict.fromkeys(text for text in _flat(self.data.get(name), self.at(name), longest) if text))

    def need_texts(self, name: str) -> tuple[str, ...]:
        """Texts, at least one."""
        if texts := self.texts(name):
            return texts
        raise CellError(self.at(name), "empty" if name in self.data else "missing")

    def part(self, name: str) -> Record:
        """An object in a field; an empty one if absent."""
        return Record({} if self.data.get(name) is None else self.data[name], self.row, self.at(name), self.left_out)

    def parts(self, name: str) -> list[Record]:
        """The objects of a list. One object is a list of one, and an object of lists (columns) is split into its
        rows."""
        value = self.data.get(name)
        if not is_filled(value):
            return []
        if isinstance(value, Mapping):
            value = _rows(value)
        if not isinstance(value, (list, tuple)):
            raise CellError(self.at(name), "should be a list of objects")
        return [
            Record(item, self.row, f"{self.at(name)}[{index}]", self.left_out)
            for index, item in enumerate(value)
            if item is not None
        ]

    def questions(self, name: str, prompt: str = "prompt", answer: str = "ground_truth") -> tuple[Question, ...]:
        """The questions of a field `{kind: [{prompt, answer}]}`, their kinds in words ("subject aliasing")."""
        questions: list[Question] = []
        kinds = self.part(name)
        for kind in kinds.data:
            for entry in kinds.parts(kind):
                questions += entry.question(clean(kind.replace("_", " "), kinds.at(kind)).lower(), prompt, answer)
        return tuple(questions)

    def question(self, kind: str, prompt: str = "prompt", answer: str = "answer") -> list[Question]:
        """A question for each prompt of this object. The first answer is the expected one, the others are its aliases.

        An object without a prompt or an answer is left out, and noted.
        """
        prompts, answers = self.texts(prompt), self.texts(answer)
        if not prompts or not answers:
            missing = "no answer" if prompts else "no prompt"
            self.left_out.append(Problem(self.row, self.where or answer, f"{missing}, question left out"))
            return []
        return [Question(prompt=text, answer=answers[0], kind=kind, aliases=answers[1:]) for text in prompts]

    def fact(
        self,
        subject: str,
        prompt: str,
        targets: Sequence[str],
        truths: Sequence[str] = (),
        column: str = "prompt",
        **more,
    ) -> Fact:
        """The fact of this record. A prompt that names the subject gets its slot (`slotted`). Of several targets the
        first is the target and the others are its aliases. The first gold answer that is not the target is the
        truth (None if the target is itself the gold answer: then the old object is unknown)."""
        template, spelled = slotted(prompt, subject, self.at(column))
        truth = next((text for text in truths if text not in targets), None)
        return Fact(
            subject=spelled, prompt=template, target=targets[0], truth=truth, aliases=tuple(targets[1:]), **more
        )


def _flat(value: Any, where: str, longest: int) -> Iterator[str]:
    level = [value]
    for _ in range(DEEPEST):
        if not any(isinstance(item, (list, tuple)) for item in level):
            break
        level = [value for item in level for value in (item if isinstance(item, (list, tuple)) else [item])]
    for item in level:
        yield clean(item, where, longest)


def _rows(columns: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """`{"prompt": [a, b], "answer": [c, d]}` as two objects; an object without lists as one."""
    lengths = {len(value) for value in columns.values() if isinstance(value, (list, tuple))}
    if len(lengths) != 1 or not all(isinstance(value, (list, tuple)) for value in columns.values()):
        return [columns]
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
