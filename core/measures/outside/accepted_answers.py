"""Which of a question's accepted answers count: any of them, or only the first. Needs no torch."""

from __future__ import annotations

from typing import Any

from core.editing.settings.parameters import param


def answers_option() -> Any:
    """The option of a study that says which of a question's accepted answers count."""
    return param(
        "any",
        choices=("any", "first"),
        help="If a record has several answers: any of them counts, or only the first, as in the R_k paper.",
    )


def answers_protocol(answers: str) -> str:
    """The option as a sentence of a study's protocol."""
    if answers == "first":
        return "Of several answers only the first counts, as in the R_k paper."
    return "Of several answers (a target with aliases) any counts; the R_k paper uses only the first."
