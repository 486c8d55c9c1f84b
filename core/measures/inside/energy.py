"""A weight decomposed along its singular directions by energy: rebuilt from the strongest, or disturbed in one group.

REVIVE, Figures 2 and 11 (https://arxiv.org/abs/2601.11042). Energy is Σσ_i, as in `core.measures.inside.spectrum`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from core.editing.linalg.dominance import Dominance
from core.measures.inside.spectrum import Reference


def kept_rank(reference: Reference, share: float) -> int:
    """The fewest directions that hold this share of Σσ, of 0 to 1; none for 0, where k(τ) of a guard is at least 1."""
    return reference.rank_at(share) if share > 0 else 0


def strongest(reference: Reference, rank: int) -> Float[Tensor, "d_out d_in"]:
    """Σ_{i ≤ rank} σ_i u_i v_iᵀ; zeros for rank 0."""
    svd = reference.spectrum
    return (svd.u[:, :rank] * svd.sigma[:rank].to(svd.u.dtype)) @ svd.vh[:rank]


def energy_groups(sigma: Float[Tensor, " r"], count: int = 10) -> list[range]:
    """Consecutive groups of directions that hold 1/count of the energy each, the strongest first.

    A direction that holds more than that by itself leaves empty groups behind it.
    """
    edges = [0, *(Dominance(part / count).rank(sigma) for part in range(1, count)), len(sigma)]
    return [range(start, max(start, stop)) for start, stop in zip(edges[:-1], edges[1:], strict=True)]


def disturbance(
    outputs: Float[Tensor, "d_out a"], inputs: Float[Tensor, "d_in b"], generator: torch.Generator
) -> Float[Tensor, "d_out d_in"]:
    """Σ_ij α_ij u_i v_jᵀ with Gaussian α over the given singular vectors, scaled to ‖Δ‖_F = 1.

    The input side of group G is disturbed by all of U and V's columns in G; the output side the other way round.
    """
    shape = outputs.shape[1], inputs.shape[1]
    random = torch.randn(*shape, generator=generator, dtype=torch.float64).to(outputs)
    change = outputs @ random @ inputs.T
    return change / change.norm()


def group_size(size: float, members: int, directions: int, groups: int) -> float:
    """‖Δ‖_F of a group where every direction gets the same energy, so that a group of average size gets `size`.

    With equal norms the few strongest directions would carry far more each than the many weak ones. Over all groups
    the two ways spend the same Σ‖Δ‖².
    """
    return size * math.sqrt(members * groups / directions)


@dataclass(frozen=True)
class Directions:
    """A weight's singular directions in groups of equal energy, to be disturbed one group at a time."""

    layer: int
    weight: Float[Tensor, "d_out d_in"]
    norm: float
    u: Float[Tensor, "d_out r"]
    vh: Float[Tensor, "r d_in"]
    members: list[range]

    @classmethod
    def of(cls, reference: Reference, groups: int) -> Directions:
        """All directions whose singular value is distinguishable from zero in float64."""
        svd = reference.spectrum
        members = energy_groups(svd.sigma[: svd.rank], groups)
        vectors = svd.u[:, : svd.rank], svd.vh[: svd.rank]
        return cls(reference.layer, reference.weight, svd.frobenius, *vectors, members)

    @property
    def rank(self) -> int:
        return len(self.vh)

    def disturbance(self, side: str, group: int, seed: int) -> Float[Tensor, "d_out d_in"]:
        """`disturbance` of one group on its "input" or "output" side: the same for a seed, another per layer."""
        chosen = slice(self.members[group].start, self.members[group].stop)
        generator = torch.Generator().manual_seed((seed * 1009 + self.layer) * 1009 + group)
        if side == "input":
            return disturbance(self.u, self.vh[chosen].T, generator)
        return disturbance(self.u[:, chosen], self.vh.T, generator)
