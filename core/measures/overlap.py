"""How much the keys of a round lie where earlier rounds have edited: one edit reaches another through that."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

CHUNK = 4096  # earlier keys that are compared at a time


def key_overlap(keys: Float[Tensor, "d b"], past: Float[Tensor, "d n"]) -> float | None:
    """The mean over `keys` of the largest |cosine| with a key of `past`; None where one of them is empty.

    It grows with n also for keys without any relation: the largest of n draws. Compare it at like n.
    """
    if not keys.shape[1] or not past.shape[1]:
        return None
    unit = torch.nn.functional.normalize(keys, dim=0)
    best = torch.zeros(keys.shape[1], dtype=keys.dtype, device=keys.device)
    for start in range(0, past.shape[1], CHUNK):
        some = torch.nn.functional.normalize(past[:, start : start + CHUNK].to(keys.dtype), dim=0)
        best = torch.maximum(best, (some.T @ unit).abs().amax(0))
    return float(best.mean())
