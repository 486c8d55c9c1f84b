"""What a lane remembers, as tensors: lists that grow by a block a round, and JSON.

A round's file in the ledger holds only the round's own blocks. A block's name has the number of items before it, so
that blocks sort in their order: "scr.facts.000012". A block that is changed later is written again under its name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

Memory = Mapping[str, Tensor]


def packed(value: Any) -> Tensor:
    """JSON as bytes, [n] uint8."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return torch.from_numpy(np.frombuffer(text.encode(), dtype=np.uint8).copy())


def unpacked(tensor: Tensor) -> Any:
    """The inverse of `packed`."""
    return json.loads(bytes(tensor.cpu().numpy()).decode())


def block(kind: str, first: int) -> str:
    """The name of the block of `kind` ("scr.facts") whose first item has this number."""
    return f"{kind}.{first:09d}"


def blocks(memory: Memory, kind: str) -> dict[int, Tensor]:
    """The blocks of a kind, in order, by the number of their first item."""
    found = {name.rpartition(".")[2]: name for name in memory if name.rpartition(".")[0] == kind}
    return {int(first): memory[found[first]] for first in sorted(found)}


def items(memory: Memory, kind: str) -> list[Any]:
    """The items of all blocks of a kind that hold JSON lists."""
    return [item for tensor in blocks(memory, kind).values() for item in unpacked(tensor)]
