"""The loop of a study: for each round that was asked for, say how far the work is, then measure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from core.measures.study.case import Case, Weights
from core.measures.study.walk import walk

Beat = Callable[[], None]  # says again how far the work is; whoever asked may stop it there


def each_round(case: Case, rounds: Sequence[int]) -> Iterator[tuple[int, Beat]]:
    """(t, `beat` to call within long work) for these rounds; what the lane wears then is `case.weights(t)`."""
    for done, t in enumerate(rounds):
        beat = partial(case.report, done, len(rounds))
        beat()
        yield t, beat
    case.report(len(rounds), len(rounds))


def each_state(case: Case, rounds: Sequence[int], ahead: int = 0, behind: int = 0) -> Iterator[tuple[int, Weights]]:
    """(t, what the lane wears after round t) for these rounds, ascending, from one replay of the ledger.

    Of all the work `ahead` pieces were done before and `behind` are to follow; the study itself reports its end.
    """
    total = ahead + len(rounds) + behind
    for done, state in enumerate(walk(case, rounds), ahead):
        case.report(done, total)
        yield state
