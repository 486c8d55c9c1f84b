"""Mean and variance of columns that arrive round by round, the same as those of all of them at once."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float

from core.lazy import torch

STILL = 1e-12  # of a mean: numbers that differ by less are the same but for rounding


@dataclass(frozen=True)
class Running:
    """How many columns there were, their mean, and Σ (x − mean)² of each of their d numbers; float64."""

    count: int
    mean: Float[torch.Tensor, " d"]
    squares: Float[torch.Tensor, " d"]

    @classmethod
    def none(cls, like: Float[torch.Tensor, "d n"]) -> Running:
        """No column yet."""
        zero = like.new_zeros(len(like), dtype=torch.float64)
        return cls(0, zero, zero)

    def joined(self, columns: Float[torch.Tensor, "d n"]) -> Running:
        """With more columns (Chan, Golub and LeVeque 1979, Eq. 2.1)."""
        n = columns.shape[1]
        if n == 0:
            return self
        new = columns.double()
        mean = new.mean(1)
        squares = (new - mean[:, None]).square().sum(1)
        apart, total = mean - self.mean, self.count + n
        return Running(
            total,
            self.mean + apart * (n / total),
            self.squares + squares + apart.square() * (self.count * n / total),
        )

    def deviation(self) -> Float[torch.Tensor, " d"]:
        """The sample standard deviation; 0 of fewer than two columns, and where they differ by rounding alone."""
        found = (self.squares / max(self.count - 1, 1)).sqrt()
        return torch.where(found > STILL * self.mean.abs(), found, 0.0)

    def standardised(self, columns: Float[torch.Tensor, "d n"]) -> Float[torch.Tensor, "d n"]:
        """(x − mean) / deviation; 0 where the deviation is."""
        deviation = self.deviation()[:, None]
        centred = columns.double() - self.mean[:, None]
        return torch.where(deviation > 0, centred / deviation.where(deviation > 0, torch.ones_like(deviation)), 0.0)

    def packed(self) -> Float[torch.Tensor, " m"]:
        """All of it as one vector of 2 d + 1 numbers."""
        return torch.cat([self.mean.new_tensor([float(self.count)]), self.mean, self.squares])

    @classmethod
    def unpacked(cls, packed: Float[torch.Tensor, " m"]) -> Running:
        """The inverse of `packed`."""
        mean, squares = packed[1:].double().chunk(2)
        return cls(int(packed[0]), mean, squares)
