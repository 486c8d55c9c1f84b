"""A control: the whole update made smaller. A guard that does no better than this is not a guard."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from core.editing.guards import WITHIN, Guard
from core.editing.linalg.lowrank import LowRank
from core.editing.settings.parameters import param
from core.errors import UserError
from core.names import Names


@dataclass(frozen=True, kw_only=True)
class Shrink(Guard[None]):
    """ΔW · factor. With `match`, each round's factor is the one at which the exact efficacy on the round's own facts
    is that of the lane with this label: see `core.editing.rounds.matched_shrinkage`."""

    title: ClassVar[str] = "shrink"
    paper: ClassVar[str] = ""
    when = WITHIN  # as REVIVE, whose control it is
    inside: ClassVar[bool] = True

    factor: float | None = param(None, symbol="c", ge=0, le=1, help="Factor that multiplies each update.")
    match: str | None = param(
        None, names=Names.TEXT, help="Instead: the label of the lane whose exact efficacy is matched."
    )

    def __post_init__(self) -> None:
        if (self.factor is None) == (self.match is None):
            raise UserError('The guard shrink needs either "factor" (0 to 1) or "match" (another lane\'s label).')

    def solved(self, factor: float) -> Shrink:
        return self if self.match is None else replace(self, factor=factor, match=None)

    def prepare(self, source: None, layer: int) -> None:
        """Nothing to prepare."""

    def apply(self, delta: LowRank, basis: None) -> LowRank:
        """The smaller update."""
        if self.factor is None:
            raise UserError(f'The factor that matches the lane "{self.match}" was not solved for.')
        return delta.scaled(self.factor)


GUARD = Shrink
