"""Do the principal directions of hidden states stay? And how far does each state move?

The cosines of the principal angles between the first k principal directions before and after: the R_k paper's tables
hold their *minimum* (the largest angle). For k near d/2 the largest cosine would be 1 for any two subspaces.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from core.measures.inside.angles import principal_angles
from core.measures.inside.drift import Principal

RANKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)


def ranks_for(width: int) -> list[int]:
    """The k at which stability is looked at: those of the paper and smaller ones, up to half of the width."""
    return [k for k in RANKS if k <= width // 2]


def subspace_stability(before: Principal, after: Principal, ranks: Sequence[int]) -> list[dict[str, float | int]]:
    """A row per k: `minimum` and `mean` cosine, `overlap` = ‖U_kᵀU'_k‖²_F / k, and `chance` = k/d, the overlap that two
    random subspaces have."""
    rows = []
    for k in ranks:
        cosines = principal_angles(before.u[:, :k], after.u[:, :k]).cos()
        rows.append(
            {
                "k": k,
                "minimum": float(cosines.min()),
                "mean": float(cosines.mean()),
                "overlap": float(cosines.square().mean()),
                "chance": k / len(before.u),
            }
        )
    return rows


def perturbation(change: Float[Tensor, "n d"], states: Float[Tensor, "n d"]) -> dict[str, float]:
    """‖h_edit − h_orig‖₂ over samples: `norm_mean`, `norm_std` (n − 1), `norm_min`, `norm_max`, and `norm_relative`,
    the mean as a share of the mean ‖h_orig‖₂."""
    norms, sizes = change.double().norm(dim=1), states.double().norm(dim=1)
    return {
        "norm_mean": float(norms.mean()),
        "norm_std": float(norms.std()),
        "norm_min": float(norms.min()),
        "norm_max": float(norms.max()),
        "norm_relative": float(norms.mean() / sizes.mean()),
    }


def halves(samples: int, seed: int = 0) -> tuple[Int[Tensor, " a"], Int[Tensor, " b"]]:
    """Two disjoint random halves of the samples: the effect of other inputs on principal directions without any
    edit."""
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(seed))
    return order[: samples // 2], order[samples // 2 :]
