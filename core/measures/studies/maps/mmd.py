"""Do two clouds of states come from one distribution? Maximum mean discrepancy, its permutation test, densities.

A map shows two dimensions; these numbers are of all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

DRAWS = 999
TIES = 1e-9  # relative: sums in another order must not decide


@dataclass(frozen=True)
class Mmd:
    """MMD² (biased, at least 0), the share of permutations that give as much or more, and the kernel's width."""

    mmd2: float
    p: float
    bandwidth: float
    draws: int


def mmd_test(
    first: Float[Tensor, "n d"], second: Float[Tensor, "m d"], paired: bool, seed: int = 0, draws: int = DRAWS
) -> Mmd:
    """MMD² of two samples with a Gaussian kernel as wide as their median distance, and its permutation p-value.

    `paired`: row i of both is the same prompt, so a permutation swaps within pairs (n = m); else rows are shuffled
    over both samples. p = (1 + permutations at least as large) / (1 + draws), so it is never below 1/(1 + draws).
    """
    kernel, bandwidth = _kernel(torch.cat([first, second]).double())
    n, m = len(first), len(second)
    generator = torch.Generator().manual_seed(seed)
    if paired:
        if n != m:
            raise ValueError(f"pairs need equally many samples: got {n} and {m}")
        # MMD² = sᵀ D s / n² with D_ij = k(x_i,x_j) + k(y_i,y_j) − k(x_i,y_j) − k(y_i,x_j); a swap turns s_i into −1
        matrix = kernel[:n, :n] + kernel[n:, n:] - kernel[:n, n:] - kernel[n:, :n]
        observed = torch.full((1, n), 1 / n, dtype=torch.float64)
        signs = torch.randint(0, 2, (draws, n), generator=generator) * 2 - 1
        shuffled = signs.double() / n
    else:
        matrix = kernel
        observed = torch.cat([torch.ones(1, n, dtype=torch.float64) / n, -torch.ones(1, m, dtype=torch.float64) / m], 1)
        order = torch.stack([torch.randperm(n + m, generator=generator) for _ in range(draws)])
        shuffled = observed[0][order]
    value = float(_quadratic(observed, matrix)[0])
    reached = _quadratic(shuffled, matrix) >= value - TIES * max(value, float(kernel.mean()))
    return Mmd(max(value, 0.0), (1 + int(reached.sum())) / (1 + draws), bandwidth, draws)


def density(values: Float[Tensor, " n"], grid: Float[Tensor, " g"]) -> Float[Tensor, " g"]:
    """A Gaussian kernel density estimate of numbers on a grid, its width by Scott's rule (spread · n^(−1/5))."""
    points = values.double()
    spread = float(points.std()) if len(points) > 1 else 0.0
    step = float(grid[-1] - grid[0]) / max(1, len(grid) - 1)
    width = max(spread * len(points) ** -0.2, step)
    away = (grid.double()[:, None] - points) / width
    return (-away.square() / 2).exp().mean(1) / (width * (2 * torch.pi) ** 0.5)


def _kernel(rows: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n n"], float]:
    """exp(−‖a − b‖² / 2h²) with h the median distance of different rows (1 if all are the same)."""
    rows = rows.cpu()
    square = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").square()
    positive = square[square > 0]
    width = float(positive.median()) ** 0.5 if len(positive) else 1.0
    return (-square / (2 * width**2)).exp(), width


def _quadratic(weights: Float[Tensor, "k n"], matrix: Float[Tensor, "n n"]) -> Float[Tensor, " k"]:
    """wᵀ M w for each row w."""
    return ((weights @ matrix) * weights).sum(1)
