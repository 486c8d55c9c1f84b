"""What the rounds and lanes of a run share: contexts, second moments, decompositions, factors. Lives in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from core.editing.contexts import sample_contexts
from core.editing.defaults import ModelInfo
from core.editing.failure import EditFailure
from core.editing.method import Method
from core.editing.statistics import SecondMoment
from core.editing.subspace import Svd, svd
from core.models.language_model import LanguageModel


def model_info(lm: LanguageModel) -> ModelInfo:
    """What defaults depend on, of a loaded model."""
    return ModelInfo(lm.reference, lm.model_type, lm.n_layers, lm.d_model, lm.config.vocab_size)


@dataclass
class EditSession:
    """One model, one seed. `moments` holds C0 for every layer that a lane edits; the rest is made when first asked."""

    lm: LanguageModel
    moments: Mapping[int, SecondMoment]
    seed: int = 0
    memo: dict[Any, Any] = field(default_factory=dict)

    def contexts(self, config: Method) -> list[str]:
        """The sampled prefixes of a recipe; recipes that ask for the same get the same."""
        if not config.samples():
            return []
        key = ("contexts", config.samples(), config.context_seeds)
        if key not in self.memo:
            self.memo[key] = [
                text
                for count, length in config.samples()
                for text in sample_contexts(self.lm, self.seed, count, length, config.context_seeds)
            ]
        return self.memo[key]

    def moment(self, layer: int) -> Tensor:
        """C0 of a layer, float64; `EditFailure` if it was not gathered."""
        if layer not in self.moments:
            raise EditFailure(f"Layer {layer} has no statistics: gather its second moment before editing it.")
        return self.moments[layer].moment

    def svd(self, layer: int) -> Svd:
        """The decomposition of W0, made once."""
        if (layer, "svd") not in self.memo:  # where `LayerContext.svd` looks for it too
            self.memo[layer, "svd"] = svd(self.lm.original(layer))
        return self.memo[layer, "svd"]

    def basis(self, acting: Any, layer: int, weight: Tensor) -> Any:
        """What a guard prepares for a layer: from W0 once per run, from the current `weight` every time."""
        if acting.needs == "weight":
            return acting.prepare(weight, layer)
        if acting.needs == "current":
            return acting.prepare(svd(weight), layer)
        if acting.needs is None:
            return acting.prepare(None, layer)
        place = (layer, "basis", acting)
        if place not in self.memo:
            self.memo[place] = acting.prepare(self.svd(layer), layer)
        return self.memo[place]
