"""Shared by the `run` methods of studies: the loop over rounds, which reports progress, and the facts of a round."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from core.measures.outside.scores import spread_sample
from core.measures.study.case import Case, Weights
from core.measures.study.walk import walk

Beat = Callable[[], None]  # says again how far the work is; whoever asked may stop it there


def each_round(case: Case, rounds: Sequence[int]) -> Iterator[tuple[int, Beat]]:
    """(t, `beat` to call during long work) for these rounds; the lane's weights then are `case.weights(t)`."""
    for done, t in enumerate(rounds):
        beat = partial(case.report, done, len(rounds))
        beat()
        yield t, beat
    case.report(len(rounds), len(rounds))


def facts_at(case: Case, round_: int, most: int | None) -> list[int]:
    """At most so many of the facts edited up to a round, evenly spread (None: all); before any edit, of all facts."""
    return spread_sample(case.edited(round_) or range(len(case.facts)), most, case.seed)


def each_state(case: Case, rounds: Sequence[int], ahead: int = 0, behind: int = 0) -> Iterator[tuple[int, Weights]]:
    """(t, the lane's weights after round t) for these rounds, ascending, from one replay of the ledger.

    Of all the work, `ahead` parts were done before and `behind` are to follow; the study itself reports its end.
    """
    total = ahead + len(rounds) + behind
    for done, state in enumerate(walk(case, rounds), ahead):
        case.report(done, total)
        yield state
