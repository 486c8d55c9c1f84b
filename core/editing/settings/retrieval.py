"""The settings of retrieval, shared by the method SCR and by SCR around a method."""

from __future__ import annotations

from dataclasses import dataclass

from core import ceiling
from core.editing.settings.parameters import param


@dataclass(frozen=True, kw_only=True)
class Retrieving:
    """How sentences are found, and when they are put before a question."""

    retriever: str = param(
        "tfidf",
        choices=("tfidf", "states"),
        offers=(("tfidf", "words and letters"), ("states", "the unedited model's states")),
        help="What similarity is measured by.",
    )
    texts: str = param(
        "facts",
        choices=("facts", "passages"),
        offers=(("facts", "the fact as a sentence"), ("passages", "the text that it was taken from")),
        help="What is remembered of a fact; a fact without a text of its own (events of ELKEN have one) is a sentence.",
    )
    k: int = param(
        1,
        ge=1,
        le=100,
        help="Sentences before a question. The authors take 3 to 5, a large model chooses.",
    )
    threshold: float | None = param(
        None, ge=-1, le=1, help="The cosine from which a sentence is taken; null: as measured, 5 % false ones."
    )
    margin: float = param(
        0.0, ge=0, le=ceiling.RATIO, help="By how much it must exceed the best sentence about another subject."
    )
