"""Cost model of measures on this machine: work in floating-point operations, and speeds measured here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch

from core.models.language_model import LanguageModel

SIZE = 384  # of the matrices that are timed: together they take a tenth of a second
BRIEF = 20.0  # seconds that need no announcement


@dataclass(frozen=True)
class Work:
    """Operations in float64 products, n³ of symmetric eigenproblems and of SVDs, and operations of the model."""

    products: float | int = 0
    eigen: float | int = 0
    svd: float | int = 0
    passes: float | int = 0

    def __add__(self, other: Work) -> Work:
        return Work(
            self.products + other.products,
            self.eigen + other.eigen,
            self.svd + other.svd,
            self.passes + other.passes,
        )

    def times(self, count: float | int) -> Work:
        """The same work `count` times."""
        return Work(self.products * count, self.eigen * count, self.svd * count, self.passes * count)

    def seconds(self, lm: LanguageModel) -> float:
        """The estimated time on the model's device."""
        rate, own = speed(str(lm.device), torch.float64), speed(str(lm.device), lm.dtype)
        return (
            self.products / rate.products + self.eigen / rate.eigen + self.svd / rate.svd + self.passes / own.products
        )


@dataclass(frozen=True)
class Speed:
    """Operations per second of products; n³ per second of symmetric eigenproblems and of SVDs."""

    products: float
    eigen: float
    svd: float


@cache
def speed(device: str, dtype: torch.dtype) -> Speed:
    """Measured once per process and type. Types without factorisations on this device have the speeds of float32
    there."""
    wide = torch.promote_types(dtype, torch.float32)
    generator = torch.Generator().manual_seed(0)
    square = torch.randn(SIZE, SIZE, generator=generator).to(device)
    symmetric = (square @ square.T).to(wide)
    large = torch.randn(2 * SIZE, 2 * SIZE, generator=generator).to(device, dtype)
    return Speed(
        2 * (2 * SIZE) ** 3 / _time(lambda: large @ large, device),
        SIZE**3 / _time(lambda: torch.linalg.eigh(symmetric), device),
        SIZE**3 / _time(lambda: torch.linalg.svd(symmetric), device),
    )


def decomposition(rows: int, columns: int, vectors: int | None = None) -> Work:
    """`inside.spectrum.spectrum`: the smaller Gram matrix, its eigenvectors, and all or some vectors of the other
    side."""
    short, long = sorted((rows, columns))
    far = short if vectors is None else vectors
    return Work(products=2.0 * short * (short + far) * long, eigen=float(short) ** 3)


def svd(rows: int, columns: int) -> Work:
    """`editing.linalg.subspace.svd`: QR of the long side, SVD of the square factor, and the long side's vectors."""
    short, long = sorted((rows, columns))
    return factorisation(long, short) + product(long, short, short)


def factorisation(samples: int, width: int) -> Work:
    """`core.measures.inside.drift.factorise`: QR of the tall matrix, SVD of the square factor."""
    return Work(products=8.0 * samples * width * width, svd=float(width) ** 3)  # QR runs at a quarter of a product


def orthogonal(width: int) -> Work:
    """A random orthogonal matrix: QR and the explicit Q."""
    return Work(products=12.0 * float(width) ** 3)


def product(rows: int, inner: int, columns: int) -> Work:
    """A matrix product."""
    return Work(products=2.0 * rows * inner * columns)


def passes(lm: LanguageModel, tokens: int) -> Work:
    """Forward passes over so many tokens."""
    return Work(passes=2.0 * lm.n_parameters * tokens)


def in_words(seconds: float | int) -> str:
    """A duration in words: "about 40 seconds", "about 3 minutes", "about 2 hours"."""
    for size, unit in ((3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            number = round(seconds / size)
            return f"about {number} {unit}{'' if number == 1 else 's'}"
    return "less than a second"


def announcement(seconds: float | int) -> list[str]:
    """The note of a study that takes long; empty for a short one."""
    return [f"Expected to take {in_words(seconds)} on this machine."] if seconds > BRIEF else []


def _time(run: Callable[[], object], device: str) -> float:
    """The faster of two runs after a warm-up run."""
    best = float("inf")
    for attempt in range(3):
        started = time.perf_counter()
        run()
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize(device)
        if attempt:
            best = min(best, time.perf_counter() - started)
    return best
