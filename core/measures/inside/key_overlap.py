"""How much the keys of a round lie where earlier rounds have edited: one edit reaches another through that."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

MOST = 2000  # earlier keys that are compared: a round costs the same however long the run


def key_overlap(keys: Float[Tensor, "d b"], past: Float[Tensor, "d n"]) -> float | None:
    """The mean over `keys` of the largest |cosine| with a key of `past`; None where one of them is empty.

    Of more than `MOST` earlier keys as many are taken, evenly spread. The largest of n draws grows with n also for keys
    without any relation, so up to there compare it at like n. NaN where a key is not finite.
    """
    if not keys.shape[1] or not past.shape[1]:
        return None
    if past.shape[1] > MOST:
        past = past[:, torch.linspace(0, past.shape[1] - 1, MOST, device=past.device).round().long()]
    tiny = torch.finfo(keys.dtype).tiny
    unit = keys / keys.norm(dim=0).clamp(min=tiny)
    cosines = (past.T.to(keys.dtype) @ unit).abs() / past.norm(dim=0).to(keys.dtype).clamp(min=tiny)[:, None]
    return float(cosines.amax(0).mean())
