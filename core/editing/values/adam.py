"""Adam on many vectors at once, each separately and within its own ball."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Bool, Float

from core.lazy import torch

BETA1, BETA2, TINY = 0.9, 0.999, 1e-8


class Adam:
    """Moments of vectors δ [fact, …, d] (Kingma and Ba, 2015); nothing is averaged over vectors.

    A vector's step size is `lr`, or `lr` · radius / √d if `relative`; it stays within `clamp` · radius. `allowed`
    projects gradients and steps.
    """

    def __init__(
        self,
        lr: float,
        clamp: float,
        relative: bool,
        allowed: Callable[[Float[torch.Tensor, "b *_ d"]], Float[torch.Tensor, "b *_ d"]],
    ):
        self.lr, self.clamp, self.relative, self.allowed = lr, clamp, relative, allowed
        self.mean: Float[torch.Tensor, "b *_ d"] | float = 0.0
        self.square: Float[torch.Tensor, "b *_ d"] | float = 0.0
        self.taken = 0

    def step(
        self,
        delta: Float[torch.Tensor, "b *_ d"],
        slope: Float[torch.Tensor, "b *_ d"],
        radius: Float[torch.Tensor, "b *_ 1"],
        active: Bool[torch.Tensor, " b"],
    ) -> Float[torch.Tensor, "b *_ d"]:
        """δ after one more step; facts that are not active keep theirs."""
        self.taken += 1
        slope = self.allowed(slope)
        self.mean = BETA1 * self.mean + (1 - BETA1) * slope
        self.square = BETA2 * self.square + (1 - BETA2) * slope**2
        mean, square = self.mean / (1 - BETA1**self.taken), self.square / (1 - BETA2**self.taken)
        rate = self.lr * (radius / delta.shape[-1] ** 0.5 if self.relative else torch.ones_like(radius))
        moved = self.allowed(delta - rate * mean / (square.sqrt() + TINY))
        moved = within(moved, self.clamp * radius)
        return torch.where(active.view(-1, *[1] * (delta.dim() - 1)), moved, delta)


def within(
    vectors: Float[torch.Tensor, "b *_ d"], most: Float[torch.Tensor, "b *_ 1"]
) -> Float[torch.Tensor, "b *_ d"]:
    """The vectors, shortened to these lengths where they are longer."""
    size = vectors.norm(dim=-1, keepdim=True)
    return torch.where(size > most, vectors * (most / size), vectors)
