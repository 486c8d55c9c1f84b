"""The states of a lane one after the other: the ledger is replayed once, however many rounds are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from core.errors import UserError
from core.measures.study.case import Case, Weights


def walk(case: Case, rounds: Sequence[int]) -> Iterator[tuple[int, Weights]]:
    """(t, the lane's weights after round t) for these rounds, ascending; empty after round 0.

    Raises `UserError` for a round that the lane does not have.
    """
    present = case.ledger.rounds(case.lane)
    missing = [t for t in rounds if t != 0 and t not in present]
    if missing:
        raise UserError(f'Lane "{case.lane}" has rounds 0 to {case.last}, not {missing[0]}.')
    for t in sorted(set(rounds)):
        yield t, case.weights(t)


def edited_rounds(case: Case, rounds: Sequence[int]) -> list[int]:
    """The asked rounds after which something was edited, ascending; `UserError` if there are none."""
    chosen = sorted({t for t in rounds if t > 0})
    if not chosen:
        raise UserError(f'Lane "{case.lane}": ask for a round after an edit, 1 to {case.last}.')
    return chosen


def broken(weights: Weights) -> list[int]:
    """The layers whose weights are not all finite: nothing can be measured inside them."""
    return [layer for layer, weight in weights.items() if not bool(torch.isfinite(weight).all())]
