"""A fact to be edited, and the questions that evaluate the edit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

SLOT = "{}"


@dataclass(frozen=True, kw_only=True)
class Neighbor:
    """A prompt about another subject whose answer an edit must leave alone."""

    prompt: str
    answer: str


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question with a known answer: one that follows from the edited fact (portability) or must not change by it
    (locality). `aliases` are other answers that count as right."""

    prompt: str
    answer: str
    kind: str = "reasoning"
    aliases: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Question:
        """The inverse of `asdict`, lists for tuples allowed."""
        return cls(**{**data, "aliases": tuple(data.get("aliases", ()))})


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One edit: make the model continue `prompt` (about `subject`) with `target`.

    `prompt` holds exactly one slot `{}` for the subject. `target` and `truth` (the old object, if known) carry no
    leading space; `aliases` are other forms of the target that count as said. `paraphrases` are complete prompts with
    the subject filled in. `generation` are prompts to be continued freely (the relation is not in them), `references`
    texts that such continuations should be like if the target holds. `passage` is the free text that the fact was taken
    from, if there is one. `kind` tells facts of one source apart ("known" to the model before any edit, or "further").
    """

    subject: str
    prompt: str
    target: str
    truth: str | None = None
    paraphrases: tuple[str, ...] = ()
    neighborhood: tuple[Neighbor, ...] = ()
    portability: tuple[Question, ...] = ()
    locality: tuple[Question, ...] = ()
    aliases: tuple[str, ...] = ()
    generation: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    passage: str = ""
    relation: str | None = None
    id: str = ""
    source: str = "typed"
    kind: str = ""

    @property
    def text(self) -> str:
        """The prompt about the subject. Plain replacement: subjects and prompts may hold braces of their own."""
        return self.prompt.replace(SLOT, self.subject, 1)

    def as_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary, without the fields that are empty."""
        return {name: value for name, value in asdict(self).items() if value not in (None, (), "")}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Fact:
        """The inverse of `as_dict`."""
        fields = dict(data)
        fields |= {name: tuple(fields.get(name, ())) for name in ("paraphrases", "aliases", "generation", "references")}
        fields["neighborhood"] = tuple(Neighbor(**n) for n in fields.get("neighborhood", ()))
        for name in ("portability", "locality"):
            fields[name] = tuple(Question.from_dict(question) for question in fields.get(name, ()))
        return cls(**fields)
