"""What every editing method is: a configuration that describes itself and can edit one round.

A method is one file in `core/editing/methods`. Its class declares the hyperparameters (`core.editing.parameters`),
says how a round is edited (`edit`; locate-then-edit methods only how one layer is updated, see `core.editing.locate`),
may say what suits a model (`usual`), and is exported as METHOD. Nothing else needs to know of it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from core.editing.defaults import Default, ModelInfo
from core.editing.parameters import param

if TYPE_CHECKING:
    from core.editing.recipe import Recipe
    from core.editing.session import EditSession
    from core.editing.spread import RoundUpdate
    from core.editing.state import LaneState
    from core.facts.fact import Fact
    from core.models.language_model import LanguageModel

Built = TypeVar("Built")


@dataclass(frozen=True)
class Round:
    """What a method is given: the facts to edit on top of a lane's state (not to be changed), and all it may use.

    `kept` lives as long as the round, also when a guard's factor is sought by editing it several times: what does not
    depend on the guards is made `once`. `beat()` is to be called between optimiser steps and layers.
    """

    lm: LanguageModel
    state: LaneState
    facts: Sequence[Fact]
    recipe: Recipe
    session: EditSession
    heartbeat: Callable[[], None] | None = None
    progress: Callable[[str, int, int], None] | None = None
    kept: dict[str, Any] = field(default_factory=dict)

    def beat(self) -> None:
        """A sign of life; it may raise, and it may make the model wear other weights for a while."""
        if self.heartbeat is not None:
            self.heartbeat()

    def once(self, name: str, build: Callable[[], Built]) -> Built:
        """What `build` gives, built at most once per round."""
        if name not in self.kept:
            self.kept[name] = build()
        return self.kept[name]

    def tell(self, phase: str, done: int, total: int) -> None:
        """What begins: the phase ("values" or "layers"), the step or layer, and how many there are."""
        if self.progress is not None:
            self.progress(phase, done, total)

    def part(self, facts: Sequence[Fact], state: LaneState, index: int, count: int) -> Round:
        """Some of the facts, on top of another state: the `index`-th of `count` parts of the round."""

        def tell(phase: str, done: int, total: int) -> None:
            if phase == "values":
                self.tell(phase, index * total + done, count * total)

        return replace(self, facts=facts, state=state, kept={}, progress=tell)


@dataclass(frozen=True, kw_only=True)
class Method:
    """A configuration; its fields are the hyperparameters."""

    title: ClassVar[str]
    paper: ClassVar[str]

    layers: tuple[int, ...] | None = param(None, symbol="L", help="The edited layers, counted from 0, ascending.")

    @abstractmethod
    def edit(self, round_: Round) -> RoundUpdate:
        """The round's updates after the guards that act on each update, to be added to `round_.state`."""

    def samples(self) -> tuple[tuple[int, int], ...]:
        """The sampled prefixes that facts are put behind: (how many, how many tokens each), bare prompts aside."""
        return ()

    def idle(self) -> dict[str, str]:
        """Fields without effect as the others stand, by spec name, and why."""
        return {}

    def cautions(self, model: ModelInfo) -> tuple[str, ...]:
        """What a person should know before a lane with these settings edits the model; each a sentence or two."""
        return ()

    @classmethod
    def usual(cls, model: ModelInfo) -> dict[str, Default]:
        """Hyperparameters that should differ from the class's defaults on this model, by spec name."""
        return {}
