"""What a measurement is of: a lane after one of its rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from core.editing.linalg.dominance import TAU

Weights = Mapping[int, Tensor]
Apart = Callable[[Sequence[int]], Iterator[tuple[list[int], Weights]]]  # facts in parts, and what is worn for each


@dataclass(frozen=True)
class Moment:
    """A lane after `round` rounds. Facts are named by their place in the run's list."""

    weights: Weights  # by layer, (d_out, d_in): what the lane's model wears
    edited: Sequence[int]  # facts edited so far, in their order
    just: Sequence[int]  # those edited since the last measurement
    round: int
    tau: float | None = None  # the guard's τ, `TAU` if it has none
    by: str = "energy"  # τ is a share of Σσ; "count": of the number of σ
    layers: Sequence[int] | None = None  # the lane's; none: its states cannot change, and are not measured
    previous: Mapping[str, Any] | None = None  # `scores` of its last measurement, rounded or not: some are carried on
    final: bool = False  # after the last round more is measured
    apart: Apart | None = None  # where rounds were edited each alone: facts are asked in these states, not in `weights`

    @property
    def share(self) -> tuple[float, str]:
        """τ and its definition, with the default."""
        return self.tau or TAU, self.by
