"""The full second moment C0 [d_in, d_in], as gathered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from jaxtyping import Float

from core.editing.locate import LayerContext
from core.editing.metric import Dense, Metric
from core.editing.subspace import Projection
from core.lazy import torch


@dataclass(frozen=True, kw_only=True)
class Full:
    """A = λ (C0 + ε tr(C0)/d I), and K_p K_pᵀ of the earlier rounds' keys if they are protected (MEMIT, Eq. 14)."""

    title: ClassVar[str] = "full second moment"
    paper: ClassVar[str] = "arXiv 2210.07229"
    suffix: ClassVar[str] = ""
    implies: ClassVar[Mapping[str, Any]] = MappingProxyType({})

    def metric(self, context: LayerContext, weight: float, ridge: float = 0.0, history: bool = False) -> Metric:
        """A of a layer. Without earlier keys its factor is made once per run; with them, anew every round."""
        if history and context.history.shape[1]:
            past = context.history.double()
            return Dense(self.matrix(context, weight, ridge) + past @ past.T, context.layer)
        return context.once(("full", weight, ridge), lambda: Dense(self.matrix(context, weight, ridge), context.layer))

    def matrix(self, context: LayerContext, weight: float, ridge: float) -> Float[torch.Tensor, "d_in d_in"]:
        """λ (C0 + ε tr(C0)/d I)."""
        matrix = weight * context.moment()
        if ridge:
            matrix.diagonal().add_(ridge * matrix.diagonal().mean())
        return matrix

    def past(self, context: LayerContext) -> Float[torch.Tensor, "d_in n"]:
        """The keys of all earlier rounds, float64."""
        return context.history.double()

    def projection(self, context: LayerContext, threshold: float) -> Projection:
        """Onto the eigenvectors of C0 whose eigenvalue is below `threshold` (AlphaEdit, §3.2), made once per run."""

        def build() -> Projection:
            values, vectors = torch.linalg.eigh(context.moment())
            few = int((values < threshold).sum())
            if few <= len(values) / 2:
                return Projection(vectors[:, :few].contiguous(), onto=True)
            return Projection(vectors[:, few:].contiguous(), onto=False)

        return context.once(("null space", threshold), build)


PRIOR = Full
