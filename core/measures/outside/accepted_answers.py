"""Which of a question's accepted answers count: any of them, or the first alone. Needs no torch."""

from __future__ import annotations

from typing import Any

from core.editing.settings.parameters import param


def answers_option() -> Any:
    """The option of a study that says which of a question's accepted answers count."""
    return param(
        "any",
        choices=("any", "first"),
        help="Where a record has several answers: any of them counts, or the first alone, as in the R_k paper.",
    )


def answers_protocol(answers: str) -> str:
    """The option as a sentence of a study's protocol."""
    if answers == "first":
        return "Of several answers the first alone counts, as in the R_k paper."
    return "Of several answers (a target with aliases) any counts; the R_k paper takes the first alone."
