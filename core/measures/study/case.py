"""A lane as studies see it: its model, facts and recipe, and every state that it went through, read from the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from core.editing.deltas.ledger import Ledger
from core.editing.deltas.states import States
from core.editing.lane.method import Recipe
from core.editing.lane.session import EditSession
from core.editing.lane.state import LayerUpdates
from core.facts.fact import Fact
from core.measures.outside.texts import Texts
from core.models.language_model import LanguageModel
from core.models.worn import Worn
from core.recent import Recent

Weights = Mapping[int, Tensor]


@dataclass
class Case:
    """One lane of a run.

    `facts` are all facts to edit in the run's order, `cohorts[t - 1]` the indices of those edited in round t;
    `unedited` are true facts that no edit touches (target = the true object). `scores[t]` is what the run measured
    after round t (columns of rounds.csv), for the rounds that it measured; `seconds[t]` what its edit took, by phase.
    `session` gives second moments, contexts and decompositions of W0. `texts` are what R_k and the perplexity are read
    on. With `alone` every round was edited on the unedited model. `tasks` names the tasks that the run measures
    (`outside.tasks.Tasks.build`), `task_limit` items of each
    (None: all).
    """

    lm: LanguageModel
    lane: str
    recipe: Recipe
    ledger: Ledger
    session: EditSession
    facts: Sequence[Fact]
    unedited: Sequence[Fact]
    cohorts: Sequence[Sequence[int]]
    alone: bool = False
    scores: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    seconds: Mapping[int, Mapping[str, float | None]] = field(default_factory=dict)
    texts: Texts = field(default_factory=Texts)
    tasks: Sequence[str] = ()
    task_limit: int | None = None
    assets: Path | None = None
    seed: int = 0
    progress: Callable[[int, int], None] | None = None
    recent: Recent = field(default_factory=Recent)  # where states stay that were asked for last
    _layers: dict[int, tuple[int, ...]] = field(init=False, default_factory=dict)
    _reported: tuple[int, int] = field(init=False, default=(0, 0))

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that rounds of this lane edited, ascending; before the first round those that it may edit."""
        return self.edited_layers(self.last)

    def layers_of(self, round_: int) -> tuple[int, ...]:
        """The layers that one round edited, ascending: a method may choose others in each."""
        if round_ not in self._layers:
            self._layers[round_] = tuple(self.ledger.layers(self.lane, round_))
        return self._layers[round_]

    def edited_layers(self, upto: int) -> tuple[int, ...]:
        """The layers edited by any round up to this one, ascending; where there are none, by any round of the lane."""
        rounds = self.ledger.rounds(self.lane)
        for last in (upto, rounds[-1] if rounds else 0):
            if layers := {layer for t in rounds if t <= last for layer in self.layers_of(t)}:
                return tuple(sorted(layers))
        return self.recipe.layers

    def most_edited(self, upto: int) -> int:
        """The layer that most rounds up to this one edited; of equal ones the last."""
        rounds = [t for t in self.ledger.rounds(self.lane) if t <= upto]
        often = Counter(layer for t in rounds for layer in self.layers_of(t))
        return max(self.edited_layers(upto), key=lambda layer: (often[layer], layer))

    @property
    def last(self) -> int:
        """The last edited round; 0 if there is none."""
        return max(self.ledger.rounds(self.lane), default=0)

    def edited(self, round_: int) -> list[int]:
        """The facts that the state after a round holds, as indices into `facts`: those edited up to its end, or in it
        alone."""
        first = max(0, round_ - 1) if self.alone else 0
        return [index for cohort in self.cohorts[first:round_] for index in cohort]

    def weights(self, round_: int) -> Weights:
        """What the lane wears after a round (for `lm.worn`): nothing after round 0."""
        if round_ == 0:
            return {}
        worn = States(self.lm, self.ledger, self.recent).at(self.lane, round_, self.layers, beat=self.beat).worn
        return Worn({layer: worn[layer] for layer in self.layers}, worn.extras)

    def remembered(self, round_: int) -> int:
        """Bytes of what the lane remembers after a round, besides its matrices and the keys of its edits."""
        state = States(self.lm, self.ledger, self.recent).at(self.lane, round_, self.layers, beat=self.beat)
        return sum(tensor.numel() * tensor.element_size() for tensor in state.memory.values())

    def matrix(self, round_: int, layer: int) -> Tensor:
        """W_t of one edited layer, [d_out, d_in]."""
        return self.weights(round_).get(layer, self.lm.original(layer))

    def update(self, round_: int) -> LayerUpdates:
        """What a round did: its updates before (`raw`) and after the guards, its keys and values."""
        return self.ledger.read(self.lane, round_, self.lm.device)

    def report(self, done: int, total: int) -> None:
        """Say how far the work is; whoever asked may stop it here."""
        self._reported = done, total
        self.beat()

    def beat(self) -> None:
        """Say once more how far the work is, within what takes long."""
        if self.progress is not None:
            self.progress(*self._reported)
