"""Where the prompts of a pass end, which tokens follow them, and what was decided at their ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor


@dataclass(frozen=True)
class Asking:
    """Flat places (row · width + column) in a pass: `ends` of the n prompts, and `following`, the tokens after them,
    with `owners`, the number of the prompt that each belongs to.

    `decided` holds what hooks decided for each prompt, by their name: [n] each. A pass that goes on with prompts
    of an earlier one (a cached token) has that one's decisions, and no ends.
    """

    ends: Int[Tensor, " n"]
    following: Int[Tensor, " m"]
    owners: Int[Tensor, " m"]
    decided: dict[str, Tensor]
    heads: tuple[tuple[int, ...], ...] = ()  # the prompts' ids


def asking(
    rows: Sequence[int],
    columns: Sequence[int],
    width: int,
    following: Sequence[tuple[int, int, int]],
    decided: dict[str, Tensor] | None,
    heads: Sequence[Sequence[int]],
    device: torch.device,
) -> Asking:
    """The flat places of these rows and columns."""

    def places(numbers: list[int]) -> Tensor:
        return torch.tensor(numbers, dtype=torch.long, device=device)

    return Asking(
        places([row * width + column for row, column in zip(rows, columns, strict=True)]),
        places([row * width + column for row, column, _ in following]),
        places([owner for _, _, owner in following]),
        {} if decided is None else decided,
        tuple(tuple(head) for head in heads),
    )
