"""Overlap of a round's keys with those of earlier rounds: where they overlap, one edit affects another."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

MOST = 2000  # earlier keys that are compared: a round costs the same however long the run


def key_overlap(keys: Float[Tensor, "d b"], past: Float[Tensor, "d n"]) -> float | None:
    """The mean over `keys` of the largest |cosine| with a key of `past`; None if one of them is empty.

    Of more than `MOST` earlier keys as many are used, evenly spread. The largest of n draws grows with n even for
    unrelated keys, so below that number compare it only at similar n. NaN if a key is not finite.
    """
    if not keys.shape[1] or not past.shape[1]:
        return None
    if past.shape[1] > MOST:
        past = past[:, torch.linspace(0, past.shape[1] - 1, MOST, device=past.device).round().long()]
    tiny = torch.finfo(keys.dtype).tiny
    unit = keys / keys.norm(dim=0).clamp(min=tiny)
    cosines = (past.T.to(keys.dtype) @ unit).abs() / past.norm(dim=0).to(keys.dtype).clamp(min=tiny)[:, None]
    return float(cosines.amax(0).mean())
