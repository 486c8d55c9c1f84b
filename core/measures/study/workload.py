"""The number of tokens that the model reads in a study, for the estimate of its time."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from core.measures.cost.cost_model import Work, passes
from core.measures.outside.tasks import choice_rows
from core.measures.study.case import Case

ANSWER = 3  # tokens of an answer, about
LOOKED_AT = 50  # prompts whose length is taken for that of all
WRITING = 2.0  # a token that is written takes as long as so many that are read
CHOICES, ITEMS = 4, 1000  # of an item, and of a task, where neither is known before the task is loaded


def fact_count(case: Case, rounds: Sequence[int], most: int | None) -> int:
    """How many facts the rounds ask together, at most `most` of those edited by each (all facts before any edit)."""
    counts = [len(case.edited(t)) or len(case.facts) for t in rounds]
    return sum(count if most is None else min(count, most) for count in counts)


def question_work(case: Case, questions: int | float, tokens: int | float = ANSWER) -> Work:
    """The model reading so many questions as long as the lane's prompts, each with an answer of `tokens` tokens."""
    lm, some = case.lm, [fact.text for fact in (*case.facts[:LOOKED_AT], *case.unedited[:LOOKED_AT])]
    lengths = [len(ids) for ids in lm.encode_all([lm.asked(text) for text in some])]
    return passes(lm, round(questions * (fmean(lengths) + tokens))) if lengths else Work()


def statistics_work(case: Case, layers: Sequence[int]) -> Work:
    """What the second moments of these layers still take: the model writes its text, if there is none, and reads it up
    to the last of the layers; keys are multiplied with themselves."""
    lm, missing = case.lm, case.session.to_gather(layers)
    if not missing.layers:
        return Work()
    depth = (max(missing.layers) + 1) / lm.n_layers
    squares = missing.tokens * len(missing.layers) * float(lm.d_ffn) ** 2  # the upper half of 2 d² a token
    read = passes(lm, round(missing.tokens * depth)) + Work(passes=squares)
    return read + passes(lm, missing.written).times(WRITING)


def task_work(case: Case, names: Sequence[str], limit: int | None) -> Work:
    """The model answering each task once, `limit` items of each (None: all). A prompt is read once for all its
    choices. Items of tasks that would have to be loaded are taken to be as long as the lane's prompts."""
    tokens, unknown = 0.0, 0
    for name in names:
        known = choice_rows(name)
        for rows in known:
            some = rows[:LOOKED_AT]
            prompts = case.lm.encode_all([case.lm.asked(row["prompt"]) for row in some])
            choices = case.lm.encode_all([str(choice) for row in some for choice in row["choices"]])
            asked = min(len(rows), limit or len(rows))
            tokens += asked * sum(map(len, [*prompts, *choices])) / len(some)
        if not known:
            unknown += limit or ITEMS
    return passes(case.lm, round(tokens)) + question_work(case, unknown, CHOICES * ANSWER)
