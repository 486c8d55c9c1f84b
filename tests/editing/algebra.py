"""Small random matrices in float64, and the context of a layer made of them."""

from typing import Any

import torch

from core.editing import priors
from core.editing.layer_context import LayerContext

D_IN, D_OUT, B = 14, 6, 4
EXACT = {"rtol": 1e-9, "atol": 1e-11}


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


SPREAD = random(D_IN, 40, seed=1)
MOMENT = SPREAD @ SPREAD.T / 40
KEYS, RESIDUAL, EARLIER = random(D_IN, B, seed=2), random(D_OUT, B, seed=3), random(D_IN, 7, seed=4)
WEIGHT = random(D_OUT, D_IN, seed=5)
NONE = torch.zeros(D_IN, 0, dtype=torch.float64)


def context(history: torch.Tensor = NONE, moment: torch.Tensor = MOMENT, **more: Any) -> LayerContext:
    return LayerContext(
        layer=3,
        weight=WEIGHT,
        original=WEIGHT,
        history=history,
        moment=lambda: moment,
        memo={},
        **{"prior": priors.get("full")()} | more,
    )


def eye(n: int) -> torch.Tensor:
    return torch.eye(n, dtype=torch.float64)
