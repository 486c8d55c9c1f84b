"""What guards would remove from a round's update, at every threshold: computed from its factors, without editing.

Blocks are those of `inside.blocks`, "input → output": dominant is the span of the first k singular directions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from core.editing.linalg.dominance import Dominance
from core.editing.linalg.lowrank import LowRank
from core.editing.linalg.subspace import Basis, Svd
from core.measures.inside.blocks import block_energies, by_chance

BLOCKS = ("dominant → dominant", "rest → dominant", "dominant → rest", "rest → rest")


def energies_by_rank(delta: LowRank, svd: Svd) -> dict[str, Float[Tensor, " n"]]:
    """‖P ΔW Q‖²_F of the four blocks for k = 1 … n, all from one product.

    With M = Uᵀ ΔW V, the part that is dominant on both sides is the sum of M²'s first k rows and columns; the part that
    is dominant on one side is ‖ΔW v_j‖² or ‖u_iᵀ ΔW‖² summed over the first k; the rest is the difference. In float64,
    each exact to about ε·‖ΔW‖².
    """
    left, right = delta.left.double(), delta.right.double()
    outputs, inputs = svd.u.T.double() @ left, svd.vh.double() @ right
    total = ((left.T @ left) * (right.T @ right)).sum()
    rows = (outputs @ (right.T @ right) * outputs).sum(1).cumsum(0)
    columns = (inputs @ (left.T @ left) * inputs).sum(1).cumsum(0)
    both = (outputs @ inputs.T).square().cumsum(0).cumsum(1).diagonal()
    blocks = (both, rows - both, columns - both, total - rows - columns + both)
    return {name: energies.clamp(min=0) for name, energies in zip(BLOCKS, blocks, strict=True)}


def by_threshold(
    updates: Mapping[int, LowRank], svds: Mapping[int, Svd], taus: Sequence[float], by: str = "energy"
) -> tuple[dict[str, list[float]], dict[int, list[int]]]:
    """Each block's share of Σ‖ΔW‖² over all layers at each τ, and the layers' k there (`by` as in REVIVE).

    REVIVE would remove all but "rest → rest".
    """
    ranks = {layer: [Dominance(tau, by).rank(svds[layer].sigma) for tau in taus] for layer in updates}
    sums = {name: torch.zeros(len(taus), dtype=torch.float64) for name in BLOCKS}
    for layer, delta in updates.items():
        places = torch.tensor(ranks[layer]) - 1
        for name, energies in energies_by_rank(delta, svds[layer]).items():
            sums[name] += energies.cpu()[places]
    total = torch.stack(list(sums.values())).sum(0).clamp(min=torch.finfo(torch.float64).tiny)
    return {name: (energies / total).tolist() for name, energies in sums.items()}, ranks


def left_by_block(
    raw: Mapping[int, LowRank], guarded: Mapping[int, LowRank], bases: Mapping[int, Basis]
) -> dict[str, dict[str, float]]:
    """`{"raw", "left", "chance"}` by block, as shares of Σ‖ΔW_raw‖² over the layers; `chance` is the share of a random
    update. A guard that does not project (RECT) may leave more in a block than was there.
    """
    shares = {name: {"raw": 0.0, "left": 0.0, "chance": 0.0} for name in BLOCKS}
    total = energy(raw)
    for layer, delta in raw.items():
        parts, left = block_energies(delta, bases[layer]), block_energies(guarded[layer], bases[layer])
        chance, whole = by_chance(bases[layer]), sum(parts.values())
        for name, row in shares.items():
            row["raw"] += parts[name] / total if total else 0.0
            row["left"] += left[name] / total if total else 0.0
            row["chance"] += chance[name] * whole / total if total else 0.0
    return shares


def energy(updates: Mapping[int, LowRank]) -> float:
    """Σ‖ΔW‖²_F over the layers."""
    return sum(delta.inner(delta) for delta in updates.values())


def taken(raw: Mapping[int, LowRank], guarded: Mapping[int, LowRank]) -> float:
    """1 − Σ‖guarded‖² / Σ‖raw‖² over the layers; 0 for a zero update."""
    whole = energy(raw)
    return 1 - energy(guarded) / whole if whole > 0 else 0.0
