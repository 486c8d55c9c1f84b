"""A weight rotated by a random orthogonal matrix: the control that separates a matrix's size from its directions.

A rotation leaves every singular value unchanged, so ‖W‖_F, ‖W‖₂ and κ₂ stay, while LS, SS and the layer's outputs
change (MOSE, Figure 2). All in float64.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor


def haar(width: int, generator: torch.Generator) -> Float[Tensor, "d d"]:
    """An orthogonal matrix, uniform in Haar measure: QR of a Gaussian matrix, its signs set by R's diagonal."""
    q, r = torch.linalg.qr(torch.randn(width, width, generator=generator, dtype=torch.float64))
    return q * torch.sign(r.diagonal())


def rotated_as_far(
    weight: Float[Tensor, "d n"], distance: float, basis: Float[Tensor, "d d"]
) -> Float[Tensor, "d n"] | None:
    """Q W with ‖QW − W‖_F = `distance`, where Q turns the planes of `basis`' columns (1, 2), (3, 4), … by one angle θ.

    ‖QW − W‖² = 2 (1 − cos θ) ‖W‖² (less the last row's part if d is odd), so θ has a closed form. None if no turn goes
    as far: the limit is 2 ‖W‖.
    """
    paired = len(basis) // 2 * 2
    within = basis.T @ weight.double()
    size = float(within[:paired].norm())
    if distance > 2 * size:
        return None
    angle = 2 * math.asin(distance / (2 * size)) if size else 0.0
    first, second = within[0:paired:2].clone(), within[1:paired:2].clone()
    within[0:paired:2] = math.cos(angle) * first - math.sin(angle) * second
    within[1:paired:2] = math.sin(angle) * first + math.cos(angle) * second
    return basis @ within
