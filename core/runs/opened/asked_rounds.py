"""Reads which rounds of which lanes are meant: "all", "last", or numbers with commas."""

from __future__ import annotations

from collections.abc import Sequence

from core.editing.deltas.ledger import Ledger
from core.errors import UserError, nearest


def asked_rounds(
    labels: Sequence[str], ledger: Ledger, asked: Sequence[str] | None, rounds: str
) -> dict[str, list[int]]:
    """The rounds asked for, by lane, ascending: of all lanes (`labels`) or those `asked`; "all", "last" or numbers
    with commas. Raises `UserError` for what is not there."""
    for label in asked or ():
        if label not in labels:
            raise UserError(f'there is no lane "{label}"; {nearest(label, labels)}')
    wanted = [label for label in labels if asked is None or label in asked]
    return {label: _rounds(rounds, ledger.rounds(label), label) for label in wanted}


def _rounds(asked: str, there: Sequence[int], lane: str) -> list[int]:
    known = [0, *there]
    if asked == "all":
        return known
    if asked == "last":
        return known[-1:]
    try:
        numbers = sorted({int(part) for part in asked.split(",")})
    except ValueError:
        raise UserError(f'rounds: "{asked}" is neither all, last, nor numbers with commas such as 0,5,10') from None
    missing = [number for number in numbers if number not in known]
    if missing:
        raise UserError(f"rounds: {lane} has rounds 0 to {known[-1]}, not {missing[0]}")
    return numbers
