"""Guards, one file each: they filter updates. A module exports its configuration class as GUARD, a frozen dataclass
that is a `Guard`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from core.editing.linalg.dominance import Dominance
from core.editing.linalg.lowrank import LowRank
from core.editing.settings import registry
from core.editing.settings.parameters import Parameter, parameters

FOLDER = Path(__file__).parent
WITHIN, AFTER, ACCUMULATED = "within", "after", "accumulated"
MOMENTS = (WITHIN, AFTER, ACCUMULATED)
ORIGINAL, CURRENT, WEIGHT, CURVATURE = "original", "current", "weight", "curvature"  # inputs of `prepare`

Prepared = TypeVar("Prepared")


class Guard(ABC, Generic[Prepared]):
    """A filter of updates. The guards of a lane act in the given order, each at its moment (`when`):

    - `WITHIN`: on a layer's update before the next layer is solved, which then compensates for a part of it;
    - `AFTER`: on the updates of all layers, once they are solved;
    - `ACCUMULATED`: on the whole change since W0, once the round's updates are added.

    A guard listed after one with a later moment acts at that later moment too.
    """

    title: ClassVar[str]
    paper: ClassVar[str]
    inside: ClassVar[bool]  # the result lies in the change's own row and column space: it undoes no earlier guard
    when: str
    match: str | None = None  # the label of the lane whose efficacy this guard is solved to match
    every_round: bool = False  # of a guard of the accumulated change: edits continue from the guarded weights

    @property
    def needs(self) -> str | None:
        """The input of `prepare`: the SVD of W0 (`ORIGINAL`) or of the current weight (`CURRENT`), the current
        weight itself (`WEIGHT`), the second moments of the layer's inputs and of the gradients in its outputs
        (`CURVATURE`), or nothing (None)."""
        return None

    @property
    def dominance(self) -> Dominance | None:
        """The τ of a guard that protects the k(τ) dominant directions; None for other guards."""
        return None

    @abstractmethod
    def prepare(self, source: Any, layer: int) -> Prepared:
        """What `apply` needs at a layer. Computed once per run if it depends on W0, else for every update."""

    @abstractmethod
    def apply(self, delta: LowRank, basis: Prepared) -> LowRank:
        """The part of the update that is kept."""

    def nested(self, other: Guard[Any]) -> bool:
        """Whether the removed directions of the two guards are nested, so that neither restores what the other
        removed."""
        return False

    def solved(self, factor: float) -> Guard[Any]:
        """The guard with the factor that matches another lane; itself if it matches none."""
        return self


def names() -> list[str]:
    """The names of all guards."""
    return registry.names(FOLDER)


def get(name: str) -> type[Guard[Any]]:
    """A guard's configuration class; raises `UserError` for a name that is not one of `names()`."""
    return registry.get(__name__, FOLDER, name, "GUARD", Guard)  # type: ignore[type-abstract]  # only compared with


def dial(config: type) -> Parameter | None:
    """The main number of a guard: its first hyperparameter that may be a fraction (τ, RECT's share, shrinkage's
    factor)."""
    return next((entry for entry in parameters(config) if entry.kind == "float"), None)


def reach(entry: Parameter) -> tuple[float, float]:
    """The range of a control for this number."""
    return (0.01, 0.5) if entry.name == "tau" else (0.05 if entry.ge is None else float(entry.ge), 1.0)
