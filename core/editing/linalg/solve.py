"""Solves with symmetric positive-definite matrices, in float64, by Cholesky factors, with a fallback for
semidefinite ones."""

from __future__ import annotations

from jaxtyping import Float

from core.editing.failure import EditFailure
from core.lazy import torch

SHIFT = 1e-10  # of the mean diagonal: the fallback's ridge, far too small to affect an edit
STILL = 1e-12  # of the mean diagonal: an input with less is never active
FLAT = 0.01  # share of the directions that may be without variance before the statistics are to blame


def factor(
    matrix: Float[torch.Tensor, "d d"], layer: int, notes: list[str] | None = None
) -> Float[torch.Tensor, "d d"]:
    """The lower Cholesky factor L of A = L Lᵀ.

    If A is only semidefinite, for example because an input of the layer is never active, the fallback "shift" factors A
    + 1e-10 · tr(A)/d · I instead and adds a note to `notes`. Raises `EditFailure`, with advice, if A is not finite, has
    negative directions, or lacks so many that it was gathered from too few tokens.
    """
    if not bool(torch.isfinite(matrix).all()):
        raise EditFailure(
            f"Layer {layer}: the second moment of the keys holds numbers that are not finite. Gather the statistics"
            " again, with the model in float32."
        )
    lower, info = torch.linalg.cholesky_ex(matrix.double())
    return lower if int(info) == 0 else shifted(matrix.double(), int(info), layer, notes)


def shifted(
    matrix: Float[torch.Tensor, "d d"], broke: int, layer: int, notes: list[str] | None
) -> Float[torch.Tensor, "d d"]:
    """The fallback of `factor`, for a factorisation that failed at a direction (counted from 1)."""
    size, diagonal = len(matrix), matrix.diagonal()
    mean = float(diagonal.mean())
    raised = matrix.clone()
    raised.diagonal().add_(SHIFT * mean)
    lower, info = torch.linalg.cholesky_ex(raised)
    still = int((diagonal <= STILL * mean).sum())
    flat = int((lower.diagonal() ** 2 <= 1000 * SHIFT * mean).sum()) - still
    if mean <= 0 or int(info) != 0 or flat > max(1, FLAT * size):
        how = (
            f"in about {flat} of {size} directions"
            if int(info) == 0 and mean > 0
            else f"at direction {broke} of {size}"
        )
        raise EditFailure(
            f"Layer {layer}: the second moment of the keys is singular ({how}). Gather it from more tokens than the"
            " layer has inputs, or set a ridge, e.g. 0.01."
        )
    if notes is not None:
        notes.append(
            f"Layer {layer}: Cholesky's factorisation broke at direction {broke} of {size} ({still} inputs never"
            f' speak); fallback "shift": {SHIFT:g} of the mean variance was added to every direction.'
        )
    return lower


def by_factor(lower: Float[torch.Tensor, "d d"], right: Float[torch.Tensor, "d b"]) -> Float[torch.Tensor, "d b"]:
    """(L Lᵀ)⁻¹ B. Two triangular solves: `cholesky_solve` copies L first, which costs more than the solve itself."""
    half = torch.linalg.solve_triangular(lower, right, upper=False)
    return torch.linalg.solve_triangular(lower.T, half, upper=True)


def one_plus(gram: Float[torch.Tensor, "n n"], layer: int, of_facts: bool = False) -> Float[torch.Tensor, "n n"]:
    """The Cholesky factor of I + G for a positive semidefinite G = Kᵀ A⁻¹ K. An `EditFailure` about keys `of_facts`
    has the index of the fact."""
    matrix = (gram + gram.T) / 2
    matrix.diagonal().add_(1)
    lower, info = torch.linalg.cholesky_ex(matrix)
    if int(info) != 0 or not bool(torch.isfinite(lower).all()):
        sizes = matrix.diagonal()
        broken = (~torch.isfinite(sizes)).nonzero()
        raise EditFailure(
            f"Layer {layer}: its keys cannot be weighed against its statistics (they are too large, or not finite).",
            fact=None if not of_facts else int(broken[0]) if len(broken) else int(sizes.argmax()),
            too_large=True,
        )
    return lower
