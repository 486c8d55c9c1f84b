"""The upper triangle of a symmetric matrix, for sums and files of large matrices."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

ROWS = 512  # of a strip
WHOLE = 4096  # inputs up to which a layer's statistics keep float64 (134 MB as a square); above they are float32


@dataclass(frozen=True)
class Triangle:
    """The upper triangle of a symmetric [d, d], in strips of `ROWS` rows, each from the diagonal on: [rows, d − first].

    The square on the diagonal at the beginning of a strip is stored whole; its part below the diagonal is not used.
    """

    strips: tuple[Float[Tensor, "_ _"], ...]

    @classmethod
    def zeros(cls, size: int, dtype: torch.dtype, device: torch.device | str = "cpu") -> Triangle:
        """Zeros, of a [size, size] matrix."""
        sizes = [(min(ROWS, size - first), size - first) for first in firsts(size)]
        return cls(tuple(torch.zeros(rows, columns, dtype=dtype, device=device) for rows, columns in sizes))

    @classmethod
    def of(cls, square: Float[Tensor, "d d"]) -> Triangle:
        """The triangle of a symmetric matrix; its strips share the memory of the square."""
        return cls(tuple(square[first : first + ROWS, first:] for first in firsts(len(square))))

    def __iter__(self) -> Iterator[tuple[int, Float[Tensor, "_ _"]]]:
        """(the first row, the strip), from the top."""
        return zip(firsts(self.size), self.strips, strict=True)

    @property
    def size(self) -> int:
        """d."""
        return self.strips[0].shape[1]

    def mean(self, count: int) -> Triangle:
        """The mean of a sum, in the stored type: float64 up to `WHOLE` inputs, else float32."""
        return Triangle(tuple((strip / count).to(kept_type(self.size)) for strip in self.strips))

    def digest(self) -> str:
        """A hash of the stored numbers: two triangles with the same hash are equal bit for bit."""
        digest = hashlib.sha256()
        for strip in self.strips:
            digest.update(strip.cpu().contiguous().numpy().data)
        return digest.hexdigest()[:16]

    def square(self) -> Float[Tensor, "d d"]:
        """The whole matrix, in float64, symmetric to the last bit."""
        whole = torch.empty(self.size, self.size, dtype=torch.float64, device=self.strips[0].device)
        for first, strip in self:
            last = first + len(strip)
            corner, right = strip[:, : len(strip)].double(), strip[:, len(strip) :]
            whole[first:last, first:last] = corner.triu() + corner.triu(1).T
            whole[first:last, last:] = right
            whole[last:, first:last] = right.T
        return whole


def firsts(size: int) -> range:
    """The first row of each strip."""
    return range(0, size, ROWS)


def shapes(size: int) -> dict[str, tuple[int, int]]:
    """Each strip's shape by its first row, as files name them."""
    return {str(first): (min(ROWS, size - first), size - first) for first in firsts(size)}


def kept_type(size: int) -> torch.dtype:
    """The type in which statistics of so many inputs are stored."""
    return torch.float64 if size <= WHOLE else torch.float32


def bytes_of(size: int, dtype: torch.dtype) -> int:
    """The size of the triangle of a [size, size] matrix."""
    return dtype.itemsize * sum(rows * columns for rows, columns in shapes(size).values())
