"""Solves with symmetric positive-definite matrices, in float64."""

from __future__ import annotations

from jaxtyping import Float

from core.editing.failure import EditFailure
from core.lazy import torch


def factor(matrix: Float[torch.Tensor, "d d"], layer: int) -> Float[torch.Tensor, "d d"]:
    """The lower Cholesky factor; `EditFailure` says what to do if the matrix is not positive definite."""
    if not bool(torch.isfinite(matrix).all()):
        raise EditFailure(
            f"Layer {layer}: the second moment of the keys holds numbers that are not finite. Gather the statistics"
            " again, with the model in float32."
        )
    lower, info = torch.linalg.cholesky_ex(matrix.double())
    if int(info) != 0:
        raise EditFailure(
            f"Layer {layer}: the second moment of the keys is singular (at direction {int(info)} of"
            f" {matrix.shape[0]}). Gather it from more tokens than the layer has inputs, or set a ridge, e.g. 0.01."
        )
    return lower
