"""What text asks of a layer's outputs: the second moment of the gradients of the loss there."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from core.editing.statistics.written import BEGINNINGS, nucleus
from core.models.generation import continuations
from core.models.hooks import logits_at, probed
from core.models.language_model import LanguageModel
from core.models.passes import batches, right_padded

TEXTS, LENGTH = 64, 32  # texts that the unedited model writes, and their tokens


def slope_moment(
    lm: LanguageModel, layer: int, rows: list[list[int]], beat: Callable[[], None] | None = None
) -> Float[Tensor, "d_out d_out"]:
    """E[g gᵀ] in float64: g is the gradient of Σ − log p of all next tokens of a text in the down-projection's output
    at one of its tokens, on the unedited model; the mean over all tokens of these rows of ids but the last ones."""
    total, seen = torch.zeros(1), 0
    for group in batches([len(row) for row in rows], lm.gradient_budget):
        if beat is not None:
            beat()
        members = [rows[i] for i in group]
        at = [(r, c) for r, row in enumerate(members) for c in range(len(row) - 1)]
        wanted = torch.tensor([row[c + 1] for row in members for c in range(len(row) - 1)], device=lm.device)
        at_rows, columns = [r for r, _ in at], [c for _, c in at]
        with lm.worn({}), torch.enable_grad(), probed(lm, [layer], len(members)) as (_, probes):
            logits = logits_at(lm, right_padded(lm, members), at_rows, columns)
            loss = F.cross_entropy(logits, wanted, reduction="sum")
            (slope,) = torch.autograd.grad(loss, [probes[layer]])
        found = slope.reshape(len(members), -1, slope.shape[-1])[at_rows, columns].double()
        total, seen = total.to(found) + found.T @ found, seen + len(found)
    return total / max(seen, 1)


def own_texts(lm: LanguageModel, seed: int, beat: Callable[[], None] | None = None) -> list[list[int]]:
    """Rows of ids that the unedited model writes, sampled together, the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    starts = [lm.encode(BEGINNINGS[i % len(BEGINNINGS)]) for i in range(TEXTS)]

    def pick(logits: Tensor) -> Tensor:
        return nucleus(logits.float().cpu(), generator).to(logits.device)

    with lm.worn({}):
        ends = continuations(lm, starts, LENGTH, pick, budget=TEXTS * (LENGTH + max(map(len, starts))), beat=beat)
    return [[*start, *end] for start, end in zip(starts, ends, strict=True)]
