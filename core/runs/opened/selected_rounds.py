"""Parses a selection of rounds and lanes: "all", "last", or numbers separated by commas."""

from __future__ import annotations

from collections.abc import Sequence

from core.editing.deltas.ledger import Ledger
from core.errors import UserError, nearest


def selected_rounds(
    labels: Sequence[str], ledger: Ledger, lanes: Sequence[str] | None, rounds: str
) -> dict[str, list[int]]:
    """The selected rounds by lane, ascending. `labels` are all lanes of the run; `lanes` selects some, None all.
    `rounds` is "all", "last" or numbers separated by commas. Raises `UserError` for an unknown lane or round."""
    for label in lanes or ():
        if label not in labels:
            raise UserError(f'there is no lane "{label}"; {nearest(label, labels)}')
    selected = [label for label in labels if lanes is None or label in lanes]
    return {label: _rounds(rounds, ledger.rounds(label), label) for label in selected}


def _rounds(rounds: str, edited: Sequence[int], lane: str) -> list[int]:
    available = [0, *edited]
    if rounds == "all":
        return available
    if rounds == "last":
        return available[-1:]
    try:
        numbers = sorted({int(part) for part in rounds.split(",")})
    except ValueError:
        raise UserError(f'rounds: "{rounds}" is neither all, last, nor numbers with commas such as 0,5,10') from None
    missing = [number for number in numbers if number not in available]
    if missing:
        raise UserError(f"rounds: {lane} has rounds 0 to {available[-1]}, not {missing[0]}")
    return numbers
