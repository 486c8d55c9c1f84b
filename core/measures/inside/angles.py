"""Principal angles between subspaces, and all similarities of two sets of singular vectors as a heat map."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def principal_angles(first: Float[Tensor, "d k"], second: Float[Tensor, "d m"]) -> Float[Tensor, " n"]:
    """The n = min(k, m) principal angles between the spans of orthonormal columns, in radians, ascending; float64.

    Computed from sines and cosines together (Björck & Golub 1973): a cosine alone cannot resolve angles below 1e-8.
    """
    if first.shape[1] < second.shape[1]:
        first, second = second, first
    a, b = first.double(), second.double()
    along = a.T @ b
    cosines = torch.linalg.svdvals(along)
    sines = torch.linalg.svdvals(b - a @ along).flip(0)
    return torch.atan2(sines[: len(cosines)], cosines)


def overlap(first: Float[Tensor, "d k"], second: Float[Tensor, "d k"]) -> float:
    """‖AᵀB‖²_F / k: the mean squared cosine. 1 for equal subspaces; k/d is expected of two random ones."""
    return float((first.double().T @ second.double()).square().sum()) / first.shape[1]


def grid(values: Float[Tensor, "n m"], most: int) -> list[dict[str, float | int]]:
    """A matrix as `i`, `j` (0-based), `value` and `cells` (1): every entry, or `binned_grid` if there are more than
    `most`."""
    if values.numel() > most:
        return binned_grid(values)
    return [
        {"i": i, "j": j, "value": v, "cells": 1} for i, row in enumerate(values.tolist()) for j, v in enumerate(row)
    ]


def binned_grid(values: Float[Tensor, "n m"], rows: int = 24, columns: int = 32) -> list[dict[str, float | int]]:
    """A matrix for drawing as `i`, `j` (0-based beginnings of bins), `value`, the largest in its bin, and `cells`, the
    number of entries in the bin.

    Bins widen with the index, so that the first directions are shown one by one.
    """
    across, down = _edges(values.shape[1], columns), _edges(values.shape[0], rows)
    return [
        {
            "i": top,
            "j": left,
            "value": float(values[top:bottom, left:right].max()),
            "cells": (bottom - top) * (right - left),
        }
        for top, bottom in zip(down[:-1], down[1:], strict=True)
        for left, right in zip(across[:-1], across[1:], strict=True)
    ]


def _edges(count: int, bins: int) -> list[int]:
    """Where bins of 0 … count-1 begin, evenly on a log scale, and `count`."""
    if count <= bins:
        return list(range(count + 1))
    steps = torch.logspace(0, 1, bins + 1, base=float(count + 1), dtype=torch.float64)
    return sorted(set((steps.round().long() - 1).tolist()))
