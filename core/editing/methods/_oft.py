"""Orthogonal fine-tuning: block-diagonal rotations of a weight's inputs, by Cayley's map of skew matrices.

Shapes: g blocks of n inputs each, d_in = g · n.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from core.editing.failure import EditFailure
from core.editing.lane.method import Round
from core.editing.lane.results import Fit
from core.editing.linalg.orthogonal import procrustes
from core.editing.methods._fine_tuning import Lesson, Training, edited_now, graded, practised
from core.errors import UserError

AGAIN = 1e-6  # the tolerance between a rotation and the one that its S gives


@runtime_checkable
class Turning(Training, Protocol):
    """The settings of orthogonal fine-tuning."""

    title: ClassVar[str]

    @property
    def blocks(self) -> int: ...
    @property
    def lr(self) -> float: ...
    @property
    def cap(self) -> float | None: ...
    @property
    def persistent(self) -> bool: ...


def orthogonally_tuned(round_: Round, config: Turning) -> tuple[dict[int, Float[Tensor, "d_out d_in"]], Fit]:
    """The weights W0 blockdiag(Q)ᵀ after training, and the facts' losses.

    Each step goes through the round's facts in batches, one step of Adam each, starting from the lane's present Q;
    Adam's moments are reset in every round. Training ends when the mean over batches is below `stop_loss`.
    """
    lm, before = round_.lm, edited_now(round_)
    if lm.d_ffn % config.blocks:
        raise UserError(f"{config.title}: {lm.d_ffn} inputs cannot be split into {config.blocks} blocks of equal size.")
    bases = {layer: lm.original(layer) if config.persistent else weight for layer, weight in before.items()}
    start = {layer: reached(bases[layer], before[layer], config.blocks, layer) for layer in before}
    free = {layer: skew.to(before[layer].dtype).requires_grad_() for layer, skew in start.items()}
    adam = torch.optim.Adam(free.values(), lr=config.lr)

    def attempt(lessons: Sequence[Lesson]) -> tuple[Float[Tensor, " b"], Callable[[], None]]:
        adam.zero_grad()
        with torch.enable_grad():
            made = {layer: through_blocks(bases[layer], cayley(skew(a))) for layer, a in free.items()}
        leaves = {layer: weight.detach().requires_grad_() for layer, weight in made.items()}
        loss = graded(lm, leaves, lessons)

        def step() -> None:
            torch.autograd.backward(list(made.values()), [leaf.grad for leaf in leaves.values()])
            adam.step()
            capped(free, config.cap)

        return loss, step

    fit = practised(round_, config, attempt, "Turning the weights for")
    weights = {
        layer: through_blocks(bases[layer].double(), cayley(skew(a.detach().double()))).to(a.dtype)
        for layer, a in free.items()
    }
    return weights, fit


def skew(free: Float[Tensor, "g n n"]) -> Float[Tensor, "g n n"]:
    """S = (A − Aᵀ) / 2 of each block."""
    return (free - free.mT) / 2


def cayley(skew: Float[torch.Tensor, "g n n"]) -> Float[torch.Tensor, "g n n"]:
    """Q = (I − S)(I + S)⁻¹ of each block: orthogonal for skew S of any size.

    Computed as 2 (I + S)⁻¹ − I with (I + S)⁻¹ = (I + SᵀS)⁻¹ (I − S): I + SᵀS is positive definite, so it has a Cholesky
    factor. The error is about ε (1 + ‖S‖²), ε the precision of S's type.
    """
    return Cayley.apply(skew)


class Cayley(torch.autograd.Function):
    """Cayley's map with its gradient: dQ = −2 X dS X, X = (I + S)⁻¹ = (I + Q) / 2, so two products and no solve."""

    @staticmethod
    def forward(ctx: Any, skew: Tensor) -> Tensor:
        eye = torch.eye(skew.shape[-1], dtype=skew.dtype, device=skew.device)
        lower = torch.linalg.cholesky(eye + skew.mT @ skew)
        inverse = torch.cholesky_solve(eye - skew, lower)
        ctx.save_for_backward(inverse)
        return 2 * inverse - eye

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (inverse,) = ctx.saved_tensors
        return -2 * inverse.mT @ grad @ inverse.mT


def skew_of(turn: Float[torch.Tensor, "g n n"]) -> Float[torch.Tensor, "g n n"]:
    """S of Cayley's map: (I + Q)⁻¹ (I − Q), skew to the last bit.

    Computed as (2 I + Q + Qᵀ)⁻¹ (Qᵀ − Q), since (I + Q)ᵀ(I + Q) = 2 I + Q + Qᵀ. A rotation by 180° has no S, and near
    180° rounding errors dominate S: an `EditFailure` unless S gives Q again to within `AGAIN`.
    """
    eye = torch.eye(turn.shape[-1], dtype=turn.dtype, device=turn.device)
    lower, broke = torch.linalg.cholesky_ex(2 * eye + turn + turn.mT)
    generator = skew(torch.cholesky_solve(turn.mT - turn, lower))
    if bool((broke != 0).any()) or not float((cayley(generator) - turn).abs().max()) <= AGAIN:
        raise EditFailure(
            "The lane's accumulated rotation reaches 180° in some direction, where Cayley's map is undefined. Rotate by"
            ' less ("lr", "cap"), or set "persistent": false.'
        )
    return generator


def reached(
    base: Float[torch.Tensor, "d_out d_in"], weight: Float[torch.Tensor, "d_out d_in"], blocks: int, layer: int
) -> Float[torch.Tensor, "g n n"]:
    """S of the blocks of Q with base · blockdiag(Q)ᵀ = weight, float64; an `EditFailure` names the layer."""
    try:
        return skew_of(turn_between(base, weight, blocks))
    except EditFailure as failure:
        raise EditFailure(f"Layer {layer}: {failure}") from None


def turn_between(
    base: Float[Tensor, "d_out d_in"], weight: Float[Tensor, "d_out d_in"], blocks: int
) -> Float[Tensor, "g n n"]:
    """The orthogonal Q of each block nearest to base · Qᵀ = weight, float64. If the base's block has a null space,
    the weight does not determine Q; Q is then as near to the identity as possible."""
    pairs = zip(base.double().chunk(blocks, 1), weight.double().chunk(blocks, 1), strict=True)
    return torch.stack([procrustes(after.T @ before)[0] for before, after in pairs])


def through_blocks(weight: Float[Tensor, "d_out d_in"], turn: Float[Tensor, "g n n"]) -> Float[Tensor, "d_out d_in"]:
    """W blockdiag(Q_1 … Q_g)ᵀ."""
    parts = weight.reshape(weight.shape[0], len(turn), -1).transpose(0, 1)
    return (parts @ turn.mT).transpose(0, 1).reshape(weight.shape)


@torch.no_grad()
def capped(free: dict[int, Tensor], cap: float | None) -> None:
    """Project each block's S onto its ball."""
    if cap is not None:
        for a in free.values():
            size = skew(a).flatten(1).norm(dim=1)
            a.mul_((cap / size.clamp(min=cap))[:, None, None])
