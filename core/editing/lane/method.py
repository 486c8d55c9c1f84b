"""The base class of editing methods, the recipe of a lane, and the round that a method edits.

A method is one file in `core/editing/methods`. Its class declares the hyperparameters (`settings.parameters`), defines
how a round is edited (`edit`; locate-then-edit methods only how one layer is updated, see `lane.layer_method`), may
give settings for a model (`usual`), and is exported as METHOD. No other file has to change.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from jaxtyping import Float

from core.editing import guards, priors
from core.editing.guards import Guard
from core.editing.layer_context import Prior
from core.editing.linalg.dominance import Dominance
from core.editing.settings.defaults import Default, ModelInfo
from core.editing.settings.parameters import param, values
from core.errors import UserError
from core.lazy import torch

if TYPE_CHECKING:
    from core.editing.lane.results import RoundUpdate, Values
    from core.editing.lane.session import EditSession
    from core.editing.lane.state import LaneState
    from core.facts.fact import Fact
    from core.models.language_model import LanguageModel

Built = TypeVar("Built")
WEIGHTS, STATES, PROMPT = "weights", "states", "prompt"  # what a method changes: matrices, hooked states, what is read


class Editor(ABC):
    """The object that edits a round: a method, or a wrapper around one."""

    title: ClassVar[str]
    paper: ClassVar[str]

    @abstractmethod
    def edit(self, round_: Round) -> RoundUpdate:
        """The round's updates after the guards that act on each update, to be added to `round_.state`."""

    def idle(self) -> dict[str, str]:
        """Fields that have no effect with the present settings, by spec name, and why."""
        return {}

    @classmethod
    def usual(cls, model: ModelInfo) -> dict[str, Default]:
        """Hyperparameters that should differ from the class's defaults on this model, by spec name."""
        return {}


class Wrapper(Editor):
    """Transforms the edit of the recipe's method before it is added. Its fields are its hyperparameters."""

    @classmethod
    def refusal(cls, method: type[Method]) -> str:
        """Why the wrapper makes no sense around this method; "" if it does."""
        return "" if method.changes == WEIGHTS else f"it changes no weights, and {cls.title} works on their updates"

    def values(self, round_: Round, values: Values, weights: Mapping[int, Float[torch.Tensor, "d_out d_in"]]) -> Values:
        """Target values, found on the model in `weights`, before they are written; by default as they are."""
        return values


@dataclass(frozen=True, kw_only=True)
class Method(Editor):
    """A configuration; its fields are the hyperparameters."""

    changes: ClassVar[str] = WEIGHTS  # guards, priors and measures of weights apply to no other lanes
    guard_aware = False  # whether values and updates are restricted to directions that the guards do not protect
    context_seeds = "words"  # the start of sampled prefixes: see `lane.contexts`

    layers: tuple[int, ...] | None = param(None, symbol="L", help="The edited layers, counted from 0, ascending.")

    def samples(self) -> tuple[tuple[int, int], ...]:
        """The sampled context prefixes, in addition to bare prompts: (how many, how many tokens each)."""
        return ()

    def prepare(
        self,
        session: EditSession,
        heartbeat: Callable[[], None] | None = None,
        progress: Callable[[Any], None] | None = None,
    ) -> dict[str, Any]:
        """What the method has to learn about the model before it edits, by name; nothing for most. `progress` is told
        how far it is (`core.editing.training.loop.Learning`)."""
        return {}

    def cautions(self, model: ModelInfo) -> tuple[str, ...]:
        """Warnings to show before a lane with these settings edits the model, one or two sentences each."""
        return ()


@dataclass(frozen=True)
class Recipe:
    """A lane: its label, its method's configuration, its guards in the order in which they act, its prior, and the
    wrapper of the method, if any. `cautions` are warnings about these settings on the model."""

    label: str
    method_name: str
    method: Method
    guard_names: tuple[str, ...] = ()
    guards: tuple[Guard[Any], ...] = ()
    prior_name: str = "full"
    prior: Prior = field(default_factory=lambda: priors.get("full")())
    wrapper_name: str | None = None
    wrapper: Wrapper | None = None
    cautions: tuple[str, ...] = ()

    @property
    def editor(self) -> Editor:
        """The object that edits a round: the wrapper, or the method by itself."""
        return self.wrapper or self.method

    @property
    def layers(self) -> tuple[int, ...]:
        """The edited layers, ascending."""
        if self.method.layers is None:
            raise UserError(f'Lane "{self.label}": no layers given, and no model to take defaults from.')
        return self.method.layers

    @property
    def changes_weights(self) -> bool:
        """Whether the lane's edits are updates of matrices."""
        return self.method.changes == WEIGHTS

    @property
    def update_guards(self) -> tuple[Guard[Any], ...]:
        """The guards that act on each update: those before the first one of the accumulated change."""
        return self.layer_guards + self.round_guards

    @property
    def layer_guards(self) -> tuple[Guard[Any], ...]:
        """Of them those that act before the next layer is solved."""
        return self.guards[: self._first(guards.AFTER)]

    @property
    def round_guards(self) -> tuple[Guard[Any], ...]:
        """Of them those that act once all layers are solved: the first of that kind, and all after it."""
        return self.guards[self._first(guards.AFTER) : self._first(guards.ACCUMULATED)]

    @property
    def total_guards(self) -> tuple[Guard[Any], ...]:
        """The guards that act on the accumulated change: the first one of that kind, and all after it."""
        return self.guards[self._first(guards.ACCUMULATED) :]

    def _first(self, moment: str) -> int:
        """The index of the first guard that acts at this moment or a later one."""
        late = guards.MOMENTS[guards.MOMENTS.index(moment) :]
        return next((place for place, acting in enumerate(self.guards) if acting.when in late), len(self.guards))

    @property
    def idle(self) -> dict[str, str]:
        """Fields without effect with the present settings, and why; those of a prior or wrapper have its name as a
        prefix."""
        reasons = {
            **self.method.idle(),
            **self.prior.idle(self.method),
            **(self.wrapper.idle() if self.wrapper else {}),
        }
        own = values(self.method)
        return {name: why for name, why in reasons.items() if " " in name or name in own}

    @property
    def match(self) -> str | None:
        """The label of the lane that a guard matches, if any."""
        return next((guard.match for guard in self.guards if guard.match is not None), None)

    @property
    def dominance(self) -> Dominance | None:
        """The τ of the lane's first guard that has one: it defines the dominant directions in the lane's measures."""
        return next((guard.dominance for guard in self.guards if guard.dominance is not None), None)

    def with_factor(self, factor: float) -> Recipe:
        """The recipe with the guard that matches another lane replaced by its solved factor."""
        return replace(self, guards=tuple(guard.solved(factor) for guard in self.guards))

    def as_dict(self) -> dict[str, Any]:
        """The lane as in a spec, with every hyperparameter resolved."""
        acting = [{"name": n, **values(g)} for n, g in zip(self.guard_names, self.guards, strict=True)]
        return {
            "name": self.label,
            "method": self.method_name,
            "prior": {"name": self.prior_name, **settings} if (settings := values(self.prior)) else self.prior_name,
            "wrapper": {"name": self.wrapper_name, **values(self.wrapper)} if self.wrapper else None,
            "guards": acting,
            **values(self.method),
        }


@dataclass(frozen=True)
class Round:
    """The input of a method: the facts to edit on top of a lane's state (not to be changed), and everything it may use.

    `kept` lasts as long as the round, also when the round is edited several times to find a guard's factor: results
    that do not depend on the guards are computed `once`. Call `beat()` between optimiser steps and layers.
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
        """A heartbeat. It may raise, and it may set other weights for a while."""
        if self.heartbeat is not None:
            self.heartbeat()

    def once(self, name: str, build: Callable[[], Built]) -> Built:
        """The result of `build`, computed at most once per round."""
        if name not in self.kept:
            self.kept[name] = build()
        return self.kept[name]

    def tell(self, phase: str, done: int, total: int) -> None:
        """Report progress: the phase ("values" or "layers"), the step or layer that begins, and how many there are."""
        if self.progress is not None:
            self.progress(phase, done, total)

    def part(self, facts: Sequence[Fact], state: LaneState, index: int, count: int) -> Round:
        """Some of the facts, on top of another state: the `index`-th of `count` parts of the round."""

        def tell(phase: str, done: int, total: int) -> None:
            if phase == "values":
                self.tell(phase, index * total + done, count * total)

        return replace(self, facts=facts, state=state, kept={}, progress=tell)
