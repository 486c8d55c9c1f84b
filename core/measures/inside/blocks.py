"""The position of an update relative to a guard: its energy in the dominant singular directions and outside of them.

Four blocks of ΔW: outputs in the span of U_k or not, times inputs in the span of V_k or not. REVIVE keeps the one that
is in neither.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from core.editing.linalg.lowrank import LowRank
from core.editing.linalg.subspace import Basis


def block_energies(delta: LowRank, basis: Basis) -> dict[str, float]:
    """‖P ΔW Q‖²_F by block, named "input → output"; they add up to ‖ΔW‖²_F.

    Each block is computed separately in float64, so a block that a guard has emptied shows its own round-off and not
    that of the largest block.
    """
    outputs = _parts(delta.left.double(), basis.outputs.double())
    inputs = _parts(delta.right.double(), basis.inputs.double())
    return {
        f"{come} → {go}": float(((outputs[go].T @ outputs[go]) * (inputs[come].T @ inputs[come])).sum().clamp(min=0))
        for go in ("dominant", "rest")
        for come in ("dominant", "rest")
    }


def by_chance(basis: Basis) -> dict[str, float]:
    """The share of each block in a random ΔW without preferred directions: the shares of the blocks' sizes."""
    (d_out, k), (d_in, m) = basis.outputs.shape, basis.inputs.shape
    outputs, inputs = {"dominant": k / d_out, "rest": 1 - k / d_out}, {"dominant": m / d_in, "rest": 1 - m / d_in}
    return {f"{come} → {go}": outputs[go] * inputs[come] for go in outputs for come in inputs}


def _parts(factor: Float[Tensor, "d r"], columns: Float[Tensor, "d k"]) -> dict[str, Tensor]:
    """A factor's part in the span of orthonormal columns, in their coordinates, and the rest of it."""
    along = columns.T @ factor
    return {"dominant": along, "rest": factor - columns @ along}
