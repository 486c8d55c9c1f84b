"""Locate-then-edit: target values of all facts of a round, then their spread over the edited layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.editing.lane.layer_method import LayerMethod
from core.editing.lane.method import Round

if TYPE_CHECKING:
    from core.editing.lane.results import RoundUpdate


@dataclass(frozen=True, kw_only=True)
class LocateThenEdit(LayerMethod):
    """Optimise the residual stream at the subject until the model says the target; write that into FFN weights.

    A method of this kind only says how one layer is updated (`update`).
    """

    def edit(self, round_: Round) -> RoundUpdate:
        """All facts of the round together: target values, then their spread over the layers (MEMIT, Alg. 1)."""
        from core.editing.rounds.procedures import all_at_once

        return all_at_once(round_)
