"""The full second moment C0 [d_in, d_in], as gathered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float

from core.editing.history.incremental import KeyHistory, Projecting, Protecting, protecting
from core.editing.layer_context import LayerContext, Prior
from core.editing.linalg.metric import Dense, Metric
from core.editing.linalg.subspace import Projection
from core.lazy import torch


@dataclass(frozen=True, kw_only=True)
class Full(Prior):
    """A = λ (C0 + ε tr(C0)/d I), and K_p K_pᵀ of the earlier rounds' keys if they are protected (MEMIT, Eq. 14)."""

    title: ClassVar[str] = "full second moment"
    paper: ClassVar[str] = "arXiv 2210.07229"

    def opening(self, threshold: float) -> str:
        """Why `projection` is empty, and which settings to change."""
        why = f"No direction of the keys has a variance below {threshold:.3g}"
        return f'{why}: raise "threshold", or set "relative": true.'

    def metric(self, context: LayerContext, weight: float, ridge: float = 0.0, history: bool = False) -> Metric:
        """A of a layer: its factor is computed once per run, and again after every d_in / 4 keys."""
        key = ("full", weight, ridge)

        def matrix() -> Float[torch.Tensor, "d_in d_in"]:
            return self.matrix(context, weight, ridge)

        metric: Metric = context.once(key, lambda: Dense(matrix(), context.layer))
        if history:
            metric = self.protecting(context, key, metric, matrix)
        context.notes.extend(note for note in metric.notes if note not in context.notes)
        return metric

    def protecting(
        self,
        context: LayerContext,
        key: tuple,
        base: Metric,
        matrix: Callable[[], Float[torch.Tensor, "d_in d_in"]],
        project: Projecting | None = None,
        woodbury_limit: int = 0,
    ) -> Protecting:
        """A + K_p K_pᵀ for the keys of all earlier rounds; `project` is applied to each block first.

        `key` identifies A among the layer's metrics; up to `woodbury_limit` keys (at least d_in / 4) are not added to
        A.
        """
        whole = context.whole or context
        key_history = context.once(("key_history", self, *key), KeyHistory)
        woodbury_limit = max(woodbury_limit, len(whole.history) // 4, 1)
        return protecting(
            key_history, base, whole.history, context.allowed if project is None else project, matrix, woodbury_limit
        )

    def matrix(self, context: LayerContext, weight: float, ridge: float) -> Float[torch.Tensor, "d_in d_in"]:
        """λ (C0 + ε tr(C0)/d I)."""
        matrix = weight * context.moment()
        if ridge:
            matrix.diagonal().add_(ridge * matrix.diagonal().mean())
        return matrix

    def projection(self, context: LayerContext, threshold: float) -> Projection:
        """Onto the eigenvectors of C0 whose eigenvalue is below `threshold` (AlphaEdit, §3.2), computed once per
        run."""

        def build() -> Projection:
            values, vectors = torch.linalg.eigh(context.moment())
            few = int((values < threshold).sum())
            if few <= len(values) / 2:
                return Projection(vectors[:, :few].contiguous(), onto=True)
            return Projection(vectors[:, few:].contiguous(), onto=False)

        return context.once(("null space", threshold), build)


PRIOR = Full
