"""The state of each lane of a run that goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from core.editing.deltas.ledger import Ledger
from core.editing.lane.session import EditSession, model_info
from core.editing.lane.state import LaneState, LayerUpdates
from core.editing.rounds.edit_round import worn_instead
from core.models.language_model import LanguageModel
from core.runs.spec.lanes import recipe_of_lane


def wearing(
    lm: LanguageModel, lanes: Sequence[Mapping[str, Any]]
) -> Callable[[str, Mapping[int, Tensor]], dict[int, Tensor]]:
    """What lanes of a spec would wear where their updates come to given sums: `Ledger.rebuild`'s `worn`."""
    session, known = EditSession(lm, {}), {lane["name"]: lane for lane in lanes}

    def worn(lane: str, sums: Mapping[int, Tensor]) -> dict[int, Tensor]:
        return worn_instead(lm, recipe_of_lane(known[lane], model_info(lm)), session, sums)

    return worn


class LiveStates:
    """One state per lane: that of the round asked for last, so that a run holds each lane once.

    A later round is reached from it by the rounds between, an earlier one from the unedited model; bit for bit the same
    either way.

    `layers` are those that a lane edits, `told` is called with (lane, round) before a state is rebuilt, `beat` before
    each of its rounds.
    """

    def __init__(
        self,
        lm: LanguageModel,
        ledger: Ledger,
        layers: Mapping[str, Sequence[int]],
        told: Callable[[str, int], None] = lambda lane, round_: None,
        beat: Callable[[], None] = lambda: None,
    ):
        self._lm, self._ledger, self._layers, self._told, self._beat = lm, ledger, layers, told, beat
        self._held: dict[str, tuple[int, LaneState]] = {}

    def after(self, lane: str, round_: int) -> LaneState:
        """A lane after a round (0: the unedited model), which is in the ledger."""
        at, state = self._held.get(lane, (round_ + 1, None))
        if state is None or at > round_:
            if round_:
                self._told(lane, round_)
            at, state = 0, LaneState.base(self._lm, self._layers[lane])
        for _ in self._ledger.replay(self._lm, lane, state, at, round_, self._beat):
            pass
        self._held[lane] = (round_, state)
        return state

    def add(self, lane: str, round_: int, update: LayerUpdates) -> LaneState:
        """The lane after one more round, which was put into the ledger."""
        state = self.after(lane, round_ - 1)
        state.apply(update)
        self._held[lane] = (round_, state)
        return state
