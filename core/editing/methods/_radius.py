"""How near a query must be to a stored key, measured on a lane's first facts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from core.editing.extras.grace import distances
from core.editing.lane.contexts import prefixes
from core.editing.lane.method import Round
from core.editing.lane.session import Sampling

SAME = 1e-6  # of a query's norm: nearer keys are those of the same prompt, up to rounding
INSIDE, OUTSIDE = 0.95, 0.05  # quantiles between which a measured radius lies


def radius(
    round_: Round,
    config: Sampling,
    known: float | None,
    queries: Float[Tensor, "b d"],
    read: Callable[[Sequence[Sequence[int]]], Float[Tensor, "n d"]],
) -> tuple[float, list[str]]:
    """ε, and a note where no radius separates subjects: the `known` one (given, or of earlier rounds), or as measured.

    Measured: √(a b) with a the distance within which 95 % of the prompts lie after sampled texts, and b that within
    which 5 % of the prompts find another subject's. `read` gives the queries of rows of ids.
    """
    if known is not None:
        return known, []
    lm, facts = round_.lm, round_.facts
    texts = prefixes(round_.session.contexts(config, round_.heartbeat))[1:]
    before = [lm.encode(lm.asked(text + fact.text)) for text in texts for fact in facts]
    near = read(before) if before else queries[:0]
    own = (near.double() - queries.double().repeat(len(texts), 1)).norm(dim=1)
    apart = distances(queries, queries)
    strange = torch.tensor([[a.subject != b.subject for b in facts] for a in facts])
    other = torch.where(strange, apart.cpu(), torch.inf).min(1).values
    other = other[other.isfinite()]
    scale = SAME * float(queries.double().norm(dim=1).mean())
    inside = float(own.quantile(INSIDE)) if len(own) else None
    outside = float(other.quantile(OUTSIDE)) if len(other) else None
    measured = [max(value, scale) for value in (inside, outside) if value is not None]
    eps = float(torch.tensor(measured or [scale]).double().log().mean().exp())
    if inside is None or outside is None or inside <= outside:
        return eps, []
    return eps, [
        f"No radius separates subjects here: 95 % of the prompts move by up to {inside:.3g} after other texts, and 5 %"
        f" of them are within {outside:.3g} of another subject's. ε = {eps:.3g} lies between."
    ]
