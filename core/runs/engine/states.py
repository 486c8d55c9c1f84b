"""The current state of each lane of a live run."""

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
    """A function from (lane, sums of updates) to the weights that the lane has: the argument `worn` of
    `Ledger.rebuild`."""
    session, known = EditSession(lm, {}), {lane["name"]: lane for lane in lanes}

    def worn(lane: str, sums: Mapping[int, Tensor]) -> dict[int, Tensor]:
        return worn_instead(lm, recipe_of_lane(known[lane], model_info(lm)), session, sums)

    return worn


class LiveStates:
    """One state per lane, that of the last requested round, so that a run holds each lane's weights once.

    A later round is reached by replaying the rounds between, an earlier one by replaying from the unedited model. Both
    give the same bits.

    `layers` are the edited layers of each lane. `rebuilding` is called with (lane, round) before a state is rebuilt,
    `beat` before each replayed round.
    """

    def __init__(
        self,
        lm: LanguageModel,
        ledger: Ledger,
        layers: Mapping[str, Sequence[int]],
        rebuilding: Callable[[str, int], None] = lambda lane, round_: None,
        beat: Callable[[], None] = lambda: None,
    ):
        self._lm, self._ledger, self._layers, self._rebuilding, self._beat = lm, ledger, layers, rebuilding, beat
        self._held: dict[str, tuple[int, LaneState]] = {}

    def after(self, lane: str, round_: int) -> LaneState:
        """A lane after a round (0: the unedited model), which must be in the ledger."""
        at, state = self._held.get(lane, (round_ + 1, None))
        if state is None or at > round_:
            if round_:
                self._rebuilding(lane, round_)
            at, state = 0, LaneState.base(self._lm, self._layers[lane])
        for _ in self._ledger.replay(self._lm, lane, state, at, round_, self._beat):
            pass
        self._held[lane] = (round_, state)
        return state

    def add(self, lane: str, round_: int, update: LayerUpdates) -> LaneState:
        """The lane after one more round, which was put into the ledger."""
        alone = update.alone
        state = LaneState.base(self._lm, self._layers[lane]) if alone else self.after(lane, round_ - 1)
        self._ledger.ready(self._lm, state, update).apply(update)
        self._held[lane] = (round_, state)
        return state
