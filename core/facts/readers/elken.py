"""ELKEN (Peng et al. 2024): events in free text, which change several facts at once.

The facts of an event are its triples, `"triples": [{"subject", "prompt", "target_new"}]`, written by a person or a
language model (the papers used GPT-4o). Without triples, the event's own questions about its text (`fact.qas` of type
0) are used instead. The other questions follow from the event ("event" portability of its last fact); `fact.local_qas`
do not ("event" locality). Questions about future tendencies have no certain answer and are not read, as in the papers.
The event's text is each fact's `passage`.
"""

from __future__ import annotations

from dataclasses import replace

from core.facts.cells import CellError
from core.facts.dataset import Dataset
from core.facts.fact import Fact, Question
from core.facts.record import Record

LONGEST = 20_000  # characters of an event
UNKNOWN = "unknown"  # the dataset's answer where the event ends what was so: nothing can be taught then


def read(record: Record, subset: str = "") -> list[Fact]:
    """The facts of an event, in order. Its questions belong to the last one, when all of them have been edited."""
    event, fact_part = record.text("event", LONGEST), record.part("fact")
    if not event:
        raise CellError("event", "empty" if "event" in record.data else "missing")
    entries = fact_part.parts("qas")
    triples = record.parts("triples")
    factual = (
        [] if triples else [entry for entry in entries if entry.text("type") == "0" and UNKNOWN not in _answers(entry)]
    )
    facts = [_of_triple(triple) for triple in triples] or [_of_question(entry) for entry in factual]
    if not facts:
        raise CellError("triples", "missing, and no factual question of the event stands for them: add its triples")
    facts = [replace(fact, passage=event, id=_id(record, number)) for number, fact in enumerate(facts, start=1)]
    follows = [entry for entry in entries if entry not in factual]
    facts[-1] = replace(
        facts[-1],
        portability=tuple(_question(entry) for entry in follows),
        locality=tuple(_question(entry) for entry in fact_part.parts("local_qas")),
    )
    return facts


def _of_triple(triple: Record) -> Fact:
    targets = triple.texts("target_new") or triple.need_texts("target")
    return triple.fact(triple.need("subject"), triple.need("prompt"), targets, source="elken")


def _of_question(entry: Record) -> Fact:
    subject, relation = entry.part("subject").need("name"), entry.text("rel_id") or None
    return entry.fact(
        subject, entry.need("question"), _answers(entry), column="question", relation=relation, source="elken"
    )


def _answers(entry: Record) -> tuple[str, ...]:
    answer = entry.part("answer")
    return tuple(dict.fromkeys([answer.need("name"), *answer.texts("alias")]))


def _question(entry: Record) -> Question:
    answers = _answers(entry)
    return Question(prompt=entry.need("question"), answer=answers[0], kind="event", aliases=answers[1:])


def _id(record: Record, number: int) -> str:
    return f"elken-{record.text('id') or record.row}.{number}"


DATASET = Dataset(
    name="elken",
    title="ELKEN",
    read=read,
    shapes=(("event", "fact"), ("event", "triples")),
    home="https://github.com/THU-KEG/Event-Level-Knowledge-Editing (data/original)",
)
