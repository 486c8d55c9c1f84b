"""Orthogonal matrices that rotate a weight, in float64."""

from __future__ import annotations

from jaxtyping import Float

from core.editing.linalg.lowrank import LowRank
from core.editing.linalg.subspace import joint_basis
from core.lazy import torch

UNDETERMINED = 1e-13  # σ_min / σ_max below which a polar factor is noise in some direction
NOISE = 1e-14  # of the trace of a Gram matrix, in its least eigenvalues
APART = 1e-6  # the remainder of an already protected direction in a float32 weight


def polar(matrix: Float[torch.Tensor, "d d"]) -> Float[torch.Tensor, "d d"]:
    """U Vᵀ of M = U Σ Vᵀ: the nearest orthogonal matrix, the R that maximises tr(Rᵀ M)."""
    u, _, vh = torch.linalg.svd(matrix)
    return u @ vh


def procrustes(
    matrix: Float[torch.Tensor, "d d"], fixed: Float[torch.Tensor, "d k"] | None = None
) -> tuple[Float[torch.Tensor, "d d"], bool]:
    """(the orthogonal R that maximises tr(Rᵀ M) with R F = F for orthonormal columns F, whether M determines it).

    Where M does not determine R, M + ε I does: R is then the identity instead of rounding noise.
    """
    size = torch.linalg.matrix_norm(matrix, 2)
    if fixed is not None:
        for _ in range(2):
            matrix = matrix - fixed @ (fixed.T @ matrix)
            matrix = matrix - (matrix @ fixed) @ fixed.T
        matrix = matrix + size * (fixed @ fixed.T)
    u, sigma, vh = torch.linalg.svd(matrix)
    determined = bool(sigma[-1] > UNDETERMINED * sigma[0])
    if not determined:
        u, _, vh = torch.linalg.svd(matrix + 1e-9 * size * torch.eye(len(matrix), dtype=matrix.dtype, device=u.device))
    return u @ vh, determined


def accumulated(
    weight: Float[torch.Tensor, "d_out d_in"], original: Float[torch.Tensor, "d_out d_in"]
) -> Float[torch.Tensor, "d_out d_out"]:
    """The orthogonal Q that rotates the original nearest to the weight, argmin ‖Q W0 − W‖: R_t ⋯ R_1 after t rounds.

    It is computed from the weights, so a rebuilt lane has it too, and is orthonormal in every round: rounding errors of
    W_t do not accumulate.
    """
    return polar(weight @ original.T)


def fixed_outputs(
    weight: Float[torch.Tensor, "d_out d_in"],
    outputs: Float[torch.Tensor, "d_out k"] | None,
    inputs: Float[torch.Tensor, "d_in j"] | None,
) -> Float[torch.Tensor, "d_out n"] | None:
    """Orthonormal columns that R must not change so that R W − W has no part along the given outputs and inputs:
    those outputs, and W times those inputs."""
    if outputs is None or inputs is None:
        return None
    image = weight @ inputs
    rest = image - outputs @ (outputs.T @ image)
    u, sigma, _ = torch.linalg.svd(rest, full_matrices=False)
    few = u[:, sigma > APART * float(torch.linalg.matrix_norm(weight, 2))]
    return joint_basis(outputs, few) if few.shape[1] else outputs


def thin(delta: Float[torch.Tensor, "d_out d_in"], like: Float[torch.Tensor, "d_out d_in"]) -> LowRank:
    """Δ with only the directions that matter for a stored weight `like` this one: the rest is below an eighth of its
    rounding error. Of full rank if necessary."""
    values, vectors = torch.linalg.eigh(delta @ delta.T)
    least = (torch.finfo(like.dtype).eps / 8 * float(like.double().norm())) ** 2
    resolved = NOISE * float(values.sum().clamp(min=0)) < least  # else rounding errors exceed the values compared
    below = int((values.clamp(min=0).cumsum(0) <= least).sum()) if resolved else 0
    basis = vectors[:, min(below, len(values) - 1) :].contiguous()
    return LowRank(basis, delta.T @ basis)
