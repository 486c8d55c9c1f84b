"""CRISP: takes from updates what lies in the pairs of directions to which the loss on text is most sensitive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Bool, Float

from core.editing.guards import AFTER, CURVATURE, WITHIN, Guard
from core.editing.linalg.lowrank import LowRank
from core.editing.settings.parameters import param
from core.lazy import torch


@dataclass(frozen=True)
class Curvature:
    """Eigenvectors of B = E[g gᵀ] and A = E[k kᵀ], columns; and which pairs of them are free."""

    outputs: Float[torch.Tensor, "d_out d_out"]
    inputs: Float[torch.Tensor, "d_in d_in"]
    free: Bool[torch.Tensor, "d_out d_in"]


@dataclass(frozen=True, kw_only=True)
class Crisp(Guard[Curvature]):
    """U_B ((U_Bᵀ ΔW U_A) ∘ M) U_Aᵀ: the update without the pairs of directions where the loss on text bends most.

    A = E[k kᵀ] are the layer's statistics, B = E[g gᵀ] is the second moment of the gradients of the summed − log p of
    text in the layer's output, on text that the unedited model writes. The curvature of a pair (i, j) of eigenvectors
    is b_i a_j. M is 0 on the largest products that make up the share γ of their sum, else 1. CrispEdit projects the
    gradients of a fine-tuning, and Adam then leaves the subspace; here it is the update itself, of whatever method,
    which stays in it exactly. CrispEdit averages the statistics of edited facts in; here they are those of the unedited
    model. The result has full rank: the ledger stores all of it. Experimental.
    """

    title: ClassVar[str] = "CRISP"
    paper: ClassVar[str] = "CrispEdit, released code"
    inside: ClassVar[bool] = False

    gamma: float = param(
        0.5,
        symbol="γ",
        ge=0,
        le=1,
        in_label=True,
        help="The share of the whole curvature that is protected; 0: the largest product alone. The authors use .99,"
        " and .5 to .8.",
    )
    when: str = param(
        WITHIN,
        choices=(WITHIN, AFTER),
        help="Within each layer, so that the next ones make up for what was taken; or after all are solved.",
    )

    @property
    def needs(self) -> str:
        return CURVATURE

    def prepare(
        self, source: tuple[Float[torch.Tensor, "d_in d_in"], Float[torch.Tensor, "d_out d_out"]], layer: int
    ) -> Curvature:
        """The eigenvectors of (A, B) and the mask; float64."""
        (a, inputs), (b, outputs) = (torch.linalg.eigh(moment.double()) for moment in source)
        products = torch.outer(b.clamp(min=0), a.clamp(min=0))
        sizes = products.flatten().sort(descending=True).values
        reached = sizes.cumsum(0) >= self.gamma * sizes.sum()
        least = sizes[int(reached.int().argmax())] if bool(reached.any()) else sizes[-1]
        return Curvature(outputs, inputs, products < least)

    def apply(self, delta: LowRank, basis: Curvature) -> LowRank:
        """The part of the update in the free pairs."""
        u, v = basis.outputs.to(delta.left.dtype), basis.inputs.to(delta.left.dtype)
        turned = (u.T @ delta.left) @ (delta.right.T @ v)
        return LowRank.full(u @ torch.where(basis.free, turned, 0.0) @ v.T)


GUARD = Crisp
