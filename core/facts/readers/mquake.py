"""MQuAKE (Zhong et al. 2023): several rewrites per case, and multi-hop questions that need all of them.

A case's rewrites are separate facts, edited in order. Its multi-hop questions belong to the last one. So they are asked
when all are edited, and not at all if `facts.count` cuts a case short. Hops of the new chain that no rewrite changes
must stay as they are: "single-hop" locality of the last fact.
"""

from __future__ import annotations

from dataclasses import replace

from core.facts.cells import CellError
from core.facts.dataset import Dataset
from core.facts.fact import Fact, Question
from core.facts.record import Record


def read(record: Record, subset: str = "") -> list[Fact]:
    """The facts of a case, in order."""
    rewrites = record.parts("requested_rewrite")
    if not rewrites:
        raise CellError("requested_rewrite", "empty" if "requested_rewrite" in record.data else "missing")
    hops = record.parts("new_single_hops")
    facts = [_fact(record, rewrite, hops, number) for number, rewrite in enumerate(rewrites, start=1)]
    edited = {text for fact in facts for text in (fact.text, *fact.paraphrases)}
    answers = tuple(dict.fromkeys((*record.texts("new_answer"), *record.texts("new_answer_alias"))))
    questions = record.texts("questions")
    if questions and not answers:
        raise CellError("new_answer", "missing: the multi-hop questions have no answer")
    facts[-1] = replace(
        facts[-1],
        portability=tuple(
            Question(prompt=text, answer=answers[0], kind="multi-hop", aliases=answers[1:]) for text in questions
        ),
        locality=tuple(question for hop in hops if not edited & _prompts(hop) for question in _unchanged(hop)),
    )
    return facts


def _fact(record: Record, rewrite: Record, hops: list[Record], number: int) -> Fact:
    fact = rewrite.fact(
        rewrite.need("subject"),
        rewrite.need("prompt"),
        rewrite.part("target_new").need_texts("str"),
        rewrite.part("target_true").texts("str"),
        paraphrases=rewrite.texts("question"),
        relation=rewrite.text("relation_id") or None,
        id=f"mquake-{record.text('case_id') or record.row}.{number}",
        source="mquake",
    )
    own = [hop for hop in hops if {fact.text, *fact.paraphrases} & _prompts(hop)]
    others = [text for hop in own for text in (*hop.texts("answer"), *hop.texts("answer_alias"))]
    return replace(fact, aliases=tuple(dict.fromkeys(text for text in (*fact.aliases, *others) if text != fact.target)))


def _prompts(hop: Record) -> set[str]:
    return {*hop.texts("cloze"), *hop.texts("question")}


def _unchanged(hop: Record) -> list[Question]:
    answers = tuple(dict.fromkeys((*hop.texts("answer"), *hop.texts("answer_alias"))))
    prompts = hop.texts("cloze") or hop.texts("question")
    return [
        Question(prompt=text, answer=answers[0], kind="single-hop", aliases=answers[1:]) for text in prompts if answers
    ]


DATASET = Dataset(
    name="mquake",
    title="MQuAKE",
    read=read,
    shapes=(("requested_rewrite", "questions", "new_answer"),),
    home="https://github.com/princeton-nlp/MQuAKE (datasets/MQuAKE-CF-3k-v2.json)",
)
