"""A result accumulated over the keys of earlier rounds, cached between rounds and equal to that of a replay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from jaxtyping import Float

from core.lazy import torch

Value = TypeVar("Value")
LINES = 4  # lanes and branches that are followed at once; one more makes the oldest start anew


@dataclass(frozen=True, eq=False)
class Folded:
    """The result of `step` over the first `done` blocks of these columns."""

    columns: Float[torch.Tensor, "d n"]
    done: int
    value: Any


def fold(
    known: list[Folded],
    columns: Float[torch.Tensor, "d n"],
    size: int,
    start: Value,
    step: Callable[[Value, Float[torch.Tensor, "d size"]], Value],
) -> tuple[Value, Float[torch.Tensor, "d rest"]]:
    """(`step` over all whole blocks of `size` columns from the first on, the remaining columns), in float64.

    Blocks are counted from the first column, whatever the rounds were: so a resumed or rebuilt lane gets the same bits
    as one that was never stopped. `known` has the newest result of each sequence of columns and is updated here.
    Columns may be appended to those that it has seen, but these may not be changed.
    """
    whole = columns.shape[1] // size
    done, value = 0, start
    for entry in known:
        if done < entry.done <= whole and same(entry.columns, columns[:, : entry.done * size]):
            done, value, parent = entry.done, entry.value, entry
    if done < whole:
        if done:
            known.remove(parent)
        for block in range(done, whole):
            value = step(value, columns[:, block * size : (block + 1) * size].double())
        known.append(Folded(columns[:, : whole * size], whole, value))
        del known[:-LINES]
    return value, columns[:, whole * size :].double()


def same(known: Float[torch.Tensor, "d n"], columns: Float[torch.Tensor, "d n"]) -> bool:
    """Whether these are the same numbers. Columns at the same address are: a history is append-only."""
    place = known.data_ptr() == columns.data_ptr() and known.stride() == columns.stride()
    return (place and known.shape == columns.shape and known.dtype == columns.dtype) or torch.equal(known, columns)
