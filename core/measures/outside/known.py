"""Which facts of a world a model says rightly, and in which templates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.facts.fact import SLOT
from core.measures.outside.scores import pass_size
from core.models.forward import score
from core.models.language_model import LanguageModel

AT_ONCE = 64  # facts between two reports


def known_templates(
    lm: LanguageModel,
    relations: Mapping[str, Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[tuple[str, str], tuple[int, ...]]:
    """(relation, subject) -> the relation's templates, by number, after which the model says the object.

    Said means: every token of the object is the arg-max under teacher forcing. `rows` have `relation`, `subject` and
    `object`; `progress` is told how many of them are done.
    """
    said: dict[tuple[str, str], tuple[int, ...]] = {}
    for start in range(0, len(rows), AT_ONCE):
        progress(start, len(rows))
        some = rows[start : start + AT_ONCE]
        asked = [
            (row, number, template.replace(SLOT, row["subject"], 1))
            for row in some
            for number, template in enumerate(relations[row["relation"]]["templates"])
        ]
        exact = score(lm, [text for _, _, text in asked], [row["object"] for row, _, _ in asked], pass_size(lm)).exact
        for row in some:
            said[row["relation"], row["subject"]] = ()
        for (row, number, _), right in zip(asked, exact.tolist(), strict=True):
            if right:
                said[row["relation"], row["subject"]] += (number,)
    progress(len(rows), len(rows))
    return said
