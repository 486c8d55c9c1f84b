"""Data that the rounds and lanes of a run share: contexts, second moments, decompositions, factors. In memory,
except for second moments, which are read when they are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from core.editing.failure import EditFailure
from core.editing.guards import CURRENT, CURVATURE, WEIGHT, Guard
from core.editing.lane.contexts import sample_contexts
from core.editing.layer_context import LayerContext, Prior
from core.editing.linalg.subspace import Svd, svd
from core.editing.settings.defaults import ModelInfo
from core.editing.statistics.second_moment import SecondMoment, ToGather
from core.editing.statistics.slopes import own_texts, slope_moment
from core.editing.stopwatch import SETUP, Stopwatch
from core.models.language_model import LanguageModel

HELD = 2**30  # bytes of second moments that stay in memory between two uses; one may be larger


def model_info(lm: LanguageModel) -> ModelInfo:
    """The properties of a loaded model that defaults depend on."""
    return ModelInfo(lm.reference, lm.model_type, lm.n_layers, lm.d_model, lm.config.vocab_size)


@runtime_checkable
class Sampling(Protocol):
    """The sampled prefixes that a method uses."""

    @property
    def context_seeds(self) -> str: ...

    def samples(self) -> tuple[tuple[int, int], ...]: ...


@runtime_checkable
class OnFirstUse(Protocol):
    """Second moments that are gathered when one is asked for."""

    def ahead(self, layers: Sequence[int]) -> None:
        """Gather those of these layers in one pass over the texts."""

    def to_gather(self, layers: Sequence[int]) -> ToGather:
        """What has yet to be gathered before these layers have theirs."""


@dataclass
class EditSession:
    """One model, one seed. `moments` holds C0 for every layer that a lane edits; other data is computed at first
    use. `watch` measures the time of all edits; computations that all lanes share count as set-up. `trained` is the
    folder of what methods have learnt about the model; without one it is kept in memory alone."""

    lm: LanguageModel
    moments: Mapping[int, SecondMoment]
    seed: int = 0
    memo: dict[Any, Any] = field(default_factory=dict)
    held: dict[int, Tensor] = field(default_factory=dict, repr=False)  # second moments, by when they were used
    trained: Path | None = None
    watch: Stopwatch = None  # type: ignore[assignment]  # made below: its clock waits for the model's device

    def __post_init__(self) -> None:
        if self.watch is None:
            self.watch = Stopwatch(self.lm.settle)

    def contexts(self, config: Sampling, beat: Callable[[], None] | None = None) -> list[str]:
        """The sampled prefixes of a recipe. Recipes with the same sampling share them."""
        if not config.samples():
            return []
        key = ("contexts", config.samples(), config.context_seeds)
        if key not in self.memo:
            with self.setup():
                self.memo[key] = [
                    text
                    for count, length in config.samples()
                    for text in sample_contexts(self.lm, self.seed, count, length, config.context_seeds, beat)
                ]
        return self.memo[key]

    def moment(self, layer: int) -> Tensor:
        """C0 of a layer, float64, not to be changed; `EditFailure` if it was not gathered.

        The most recently used ones stay in memory, up to `HELD` bytes; the others are released before another one is
        read.
        """
        if layer not in self.moments:
            raise EditFailure(f"Layer {layer} has no statistics: gather its second moment before editing it.")
        with self.setup():  # here it is read or gathered
            moment = self.held.pop(layer, None)
            if moment is None:
                room = HELD // (8 * self.lm.d_ffn**2)
                while self.held and len(self.held) >= room:
                    del self.held[next(iter(self.held))]
                moment = self.moments[layer].moment
            self.held[layer] = moment
            return moment

    def ahead(self, layers: Sequence[int]) -> None:
        """Gather the second moments of these layers in one pass over the texts, if they are gathered on first use."""
        if isinstance(self.moments, OnFirstUse):
            with self.setup():
                self.moments.ahead(layers)

    def to_gather(self, layers: Sequence[int]) -> ToGather:
        """What has yet to be gathered before these layers have their second moments."""
        return self.moments.to_gather(layers) if isinstance(self.moments, OnFirstUse) else ToGather()

    def spectral_norm(self, layer: int) -> float:
        """σ_1 of W0, computed once; without its singular vectors, which are large."""
        if (layer, "norm") not in self.memo:
            with self.setup():
                weight = self.lm.original(layer).double()
                gram = weight @ weight.T if weight.shape[0] <= weight.shape[1] else weight.T @ weight
                self.memo[layer, "norm"] = float(torch.linalg.eigvalsh(gram)[-1].clamp(min=0).sqrt())
        return self.memo[layer, "norm"]

    def slopes(self, layer: int) -> Tensor:
        """The second moment of the gradients of text's loss in a layer's output, computed once; float64."""
        if (layer, "slopes") not in self.memo:
            with self.setup():
                if "own texts" not in self.memo:
                    self.memo["own texts"] = own_texts(self.lm, self.seed)
                self.memo[layer, "slopes"] = slope_moment(self.lm, layer, self.memo["own texts"])
        return self.memo[layer, "slopes"]

    def setup(self) -> AbstractContextManager:
        """Time within this block is set-up: computed once for all lanes."""
        return self.watch.phase(SETUP)

    def svd(self, layer: int) -> Svd:
        """The decomposition of W0, made once."""
        if (layer, "svd") not in self.memo:  # `LayerContext.svd` uses the same key
            with self.setup():
                self.memo[layer, "svd"] = svd(self.lm.original(layer))
        return self.memo[layer, "svd"]

    def context(
        self,
        layer: int,
        weight: Tensor,
        history: Tensor,
        prior: Prior,
        bare: Tensor | None = None,
        notes: list[str] | None = None,
    ) -> LayerContext:
        """The data that a method may use when it updates a layer: its current `weight`, the keys of earlier rounds,
        and the run's data on the layer."""
        return LayerContext(
            layer=layer,
            weight=weight,
            original=self.lm.original(layer),
            history=history,
            moment=partial(self.moment, layer),
            memo=self.memo,
            setup=self.setup,
            bare=bare,
            notes=[] if notes is None else notes,
            prior=prior,
        )

    def basis(self, acting: Guard[Any], layer: int, weight: Tensor) -> Any:
        """The result of a guard's `prepare` for a layer: from W0 once per run, from the current `weight` every time."""
        if acting.needs == WEIGHT:
            return acting.prepare(weight, layer)
        if acting.needs == CURRENT:
            return acting.prepare(svd(weight), layer)
        if acting.needs is None:
            return acting.prepare(None, layer)
        place = (layer, "basis", acting)
        if place not in self.memo:
            with self.setup():
                source = (self.moment(layer), self.slopes(layer)) if acting.needs == CURVATURE else self.svd(layer)
                self.memo[place] = acting.prepare(source, layer)
        return self.memo[place]
