"""How far the dominant singular subspace of an edited matrix has moved from that of W0.

LS and SS are those of REVIVE (equations 3 and below, https://arxiv.org/abs/2601.11042). Both can fall while the
protected block is intact, because directions that grew outside of it then rank higher. So the drift inside the block is
reported too. Under REVIVE with the original basis it is zero up to float32 round-off.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from core.editing.linalg.dominance import Dominance
from core.measures.inside.spectrum import Reference, Spectrum, spectrum

BINS = 48  # of a row of similarities that is drawn


def low_rank_similarity(first: Spectrum, second: Spectrum, k: int, k_second: int | None = None) -> float:
    """LS: the Frobenius cosine of the rank-k truncations of two matrices, without forming them.

    ⟨A, B⟩_F = Σ_ij σ_i σ'_j (u_i·u'_j)(v_i·v'_j), from k×k products. The second matrix may be cut at another rank.
    """
    m = k_second or k
    a, b = first.sigma[:k].double(), second.sigma[:m].double()
    left = first.u[:, :k].double().T @ second.u[:, :m].double()
    right = first.vh[:k].double() @ second.vh[:m].double().T
    return float(a @ (left * right) @ b / (a.norm() * b.norm()))


def vector_similarity(edited: Float[Tensor, "k d"], original: Float[Tensor, "r d"]) -> Float[Tensor, "k r"]:
    """SS: |⟨v_t^(i), v_0^(j)⟩| for the rows of two sets of singular vectors; the sign of a vector has no meaning."""
    return (edited.to(original.dtype) @ original.T).abs()


def protected_drift(reference: Reference, weight: Float[Tensor, "d_out d_in"], k: int) -> tuple[float, float]:
    """(right, left): ‖(W_t−W0)V_k‖_F and ‖U_kᵀ(W_t−W0)‖_F, both relative to ‖W0‖_F."""
    change = weight - reference.weight
    scale = reference.spectrum.frobenius
    right = change @ reference.spectrum.vh[:k].T
    left = reference.spectrum.u[:, :k].T @ change
    return float(right.norm()) / scale, float(left.norm()) / scale


@dataclass(frozen=True)
class Similarity:
    """One layer after some edits, against W0. `row` holds the numbers, the tensors what the plots need."""

    row: dict[str, float | int]
    sigma: Float[Tensor, " r"]
    right: Float[Tensor, "k r0"]
    left: Float[Tensor, "k r0"]


def compare(
    reference: Reference,
    weight: Float[Tensor, "d_out d_in"],
    tau: float,
    recompute_rank: bool = False,
    now: Spectrum | None = None,
    by: str = "energy",
) -> Similarity:
    """All measures of one decomposition of W_t; `now` is that decomposition, if it exists, with its first k vectors or
    more. `by` defines τ, as in REVIVE.

    The row: `dominant_rank` (k at τ of W_t itself), `k` (the rank that LS, SS and drift use: that of W0, or W_t's own
    with `recompute_rank`), `ls`, `ss_right` and `ss_left` (of the first singular vector: its best match in W0),
    `ss_right_mean`, `ss_left_mean` (the same, averaged over i ≤ k), `frobenius`, `spectral`, `condition` (κ₂ over all
    σ, infinite for a singular matrix), `numerical_rank` (σ above `rank_tolerance` · σ_1), `drift_right`, `drift_left`,
    `change` (‖W_t−W0‖_F/‖W0‖_F).
    """
    k0 = reference.rank_at(tau, by)
    now = now or spectrum(weight, None if recompute_rank else k0)
    own = Dominance(tau, by).rank(now.sigma)
    k = own if recompute_rank else k0
    right = vector_similarity(now.vh[:k], reference.spectrum.vh)
    left = vector_similarity(now.u[:, :k].T, reference.spectrum.u.T)
    best_right, best_left = right.amax(1), left.amax(1)
    drift_right, drift_left = protected_drift(reference, weight, k0)
    row = {
        "dominant_rank": own,
        "k": k,
        "ls": low_rank_similarity(now, reference.spectrum, k, k0),
        "ss_right": float(best_right[0]),
        "ss_left": float(best_left[0]),
        "ss_right_mean": float(best_right.mean()),
        "ss_left_mean": float(best_left.mean()),
        "frobenius": now.frobenius,
        "spectral": now.spectral,
        "condition": now.condition,
        "numerical_rank": now.numerical_rank,
        "rank_tolerance": now.tolerance,
        "drift_right": drift_right,
        "drift_left": drift_left,
        "change": float((weight - reference.weight).norm()) / reference.spectrum.frobenius,
    }
    return Similarity(row, now.sigma, right, left)


def binned(row: Float[Tensor, " r"], bins: int = BINS) -> dict[str, list]:
    """A row of similarities for drawing: the largest of each bin, and its 0-based `index`.

    Bins widen with the index, so the first singular directions are shown one by one and no peak is lost.
    """
    edges = torch.unique(torch.logspace(0, 1, bins + 1, base=float(len(row) + 1)).round().long() - 1)
    index, value = [], []
    for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        best = int(row[start:stop].argmax()) + start
        index.append(best)
        value.append(float(row[best]))
    return {"index": index, "value": value}
