"""True facts of a lane, and those of them that the unedited model knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core.facts.fact import Fact
from core.measures.outside.scores import Answers, spread_sample
from core.measures.study.case import Case


def true_facts(case: Case, most: int | None) -> list[Fact]:
    """At most so many true facts, evenly spread (None: all): those that no edit touches, and those to edit with their
    true objects. The target of each is its true object."""
    edited = [replace(fact, target=fact.truth, truth=None, aliases=()) for fact in case.facts if fact.truth]
    by_text = {fact.text: fact for fact in (*case.unedited, *edited)}
    facts = list(by_text.values())
    return [facts[i] for i in spread_sample(range(len(facts)), most, case.seed)]


def known_facts(case: Case, facts: Sequence[Fact]) -> list[Fact]:
    """Those of true facts whose answer the unedited model reproduces exactly."""
    with case.lm.worn({}):
        rated = Answers(case.lm, case.beat).rate([(fact.text, fact.target) for fact in facts])
    return [fact for fact, answer in zip(facts, rated, strict=True) if answer.exact]
