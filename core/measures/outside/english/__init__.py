"""Seven zero-shot tasks in plain English, of 200 items each, for models that know English. Nothing is downloaded: items
come from tables and sentences of our own.

Templates and words were chosen by their accuracy on the unedited SmolLM2, until each task was at least .15 above chance
there. So these accuracies say nothing about how good that model is. What the tasks are for is what is left of an
accuracy after edits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from core.measures.outside.english import arithmetic, entailment, grammar, knowledge, meaning, reading, sentiment
from core.measures.outside.english.items import Item

NAME = "english"
TASKS: dict[str, Callable[[], list[Item]]] = {
    "grammar": grammar.items,
    "sentiment": sentiment.items,
    "entailment": entailment.items,
    "meaning": meaning.items,
    "knowledge": knowledge.items,
    "arithmetic": arithmetic.items,
    "reading": reading.items,
}


@cache
def items(task: str) -> list[Item]:
    """The items of a task: `{"prompt", "choices", "answer": index}`, always the same."""
    return TASKS[task]()


def chance(task: str) -> float:
    """The share of items that guessing gets right."""
    rows = items(task)
    return sum(1 / len(row["choices"]) for row in rows) / len(rows)
