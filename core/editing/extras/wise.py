"""Side memories of one down-projection: copies of W that differ in some entries, and the rule by which one is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from core.editing.extras.blocks import Memory, block, blocks, unpacked
from core.editing.extras.routing import NONE, decide, flat, moved, routed
from core.models.worn import Extra

MASK, VALUES, FLOOR = "wise.mask", "wise.values", "wise.floor"  # by shard: bits, D's masked entries, smallest d [1]
MERGED, MERGED_FLOOR = "wise.merged", "wise.merged_floor"  # [d_out, d_in], [1]
SETTINGS = "wise.settings"  # {"layer", "ratio", "act"}
NAME = "wise"  # of the decision
Act = Callable[[Tensor], Tensor]


class SideMemories(Extra):
    """W + D in the place of W, from the end of a prompt on, if D changes the output there enough.

    d = ‖a((W + D) k) − a(W k)‖ with k the input at the prompt's last token and a the identity, or a non-linearity. Of
    the memories with d > ratio · floor that with the largest d is used; else W.
    """

    def __init__(
        self,
        layer: int,
        deltas: Sequence[Float[Tensor, "d_out d_in"]],
        least: Sequence[float],
        act: str = "",
    ):
        self.layer, self.deltas, self.least, self.act = layer, list(deltas), list(least), act
        self.layers = (layer,) if self.deltas else ()

    @classmethod
    def of(cls, memory: Mapping[str, Tensor]) -> SideMemories:
        """The merged memory of a lane, and its shards that are not merged. A shard whose first round was left out is
        missing; what other rounds were trained to stays, also if one of them is left out."""
        settings = unpacked(memory[SETTINGS])
        known = memories(memory)
        return cls(
            settings["layer"],
            [delta for delta, _ in known],
            [settings["ratio"] * floor for _, floor in known],
            settings["act"],
        )

    def hooks(self, lm: Any) -> list[RemovableHandle]:
        """One hook, after the down-projection."""
        if not self.deltas:
            return []
        deltas = [delta.to(lm.device) for delta in self.deltas]
        act = nonlinearity(self.act)

        def hook(_: Any, args: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
            keys = flat(args[0]).to(deltas[0].dtype)

            def choose(states: Tensor) -> Tensor:
                return self.chosen(states[:, : keys.shape[1]], states[:, keys.shape[1] :], deltas, act)

            alone = decide(lm, NAME, torch.cat([keys, flat(output).to(keys.dtype)], 1), choose)
            at, branch = routed(lm, NAME, alone)
            if not len(at):
                return None
            change = output.new_zeros(len(at), output.shape[-1], dtype=keys.dtype)
            for number in branch.unique().tolist():
                own = branch == number
                change[own] = keys[at[own]] @ deltas[number].T
            return moved(output, at, change)

        return [lm.down(self.layer).register_forward_hook(hook, prepend=True)]

    def chosen(
        self,
        keys: Float[Tensor, "q d_in"],
        outputs: Float[Tensor, "q d_out"],
        deltas: Sequence[Float[Tensor, "d_out d_in"]],
        act: Act | None,
    ) -> Int[Tensor, " q"]:
        """The memory of each query, or none."""
        sizes = torch.stack([shift(keys @ delta.T, outputs, act) for delta in deltas])
        fires = sizes > torch.tensor(self.least, dtype=sizes.dtype, device=sizes.device)[:, None]
        largest, number = torch.where(fires, sizes, -torch.inf).max(0)
        return torch.where(largest.isfinite(), number, NONE)


def shift(change: Float[Tensor, "q d_out"], outputs: Float[Tensor, "q d_out"], act: Act | None) -> Float[Tensor, " q"]:
    """d of each query: how far the change moves the output, or what the non-linearity makes of it."""
    return (change if act is None else act(outputs + change) - act(outputs)).norm(dim=1)


def nonlinearity(name: str) -> Act | None:
    """The function of this name in transformers; None for ""."""
    from transformers.activations import ACT2FN

    return ACT2FN[name] if name else None


def memories(memory: Memory) -> list[tuple[Float[Tensor, "d_out d_in"], float]]:
    """(D, the smallest d of its facts) of each memory: the merged one, then the shards."""
    known = [(memory[MERGED], float(memory[MERGED_FLOOR]))] if MERGED in memory else []
    return known + [(delta, floor) for _, _, delta, floor in shards(memory)]


def shards(memory: Memory) -> list[tuple[int, Bool[Tensor, "d_out d_in"], Float[Tensor, "d_out d_in"], float]]:
    """(number, mask, D, floor) of each shard that is not merged."""
    result = []
    for number, bits in blocks(memory, MASK).items():
        values = memory[block(VALUES, number)]
        if len(values):
            mask = unpacked_bits(bits)
            delta = values.new_zeros(mask.shape)
            delta[mask] = values
            result.append((number, mask, delta, float(memory[block(FLOOR, number)])))
    return result


def packed_bits(mask: Bool[Tensor, "d_out d_in"]) -> Tensor:
    """A mask as bytes, after its two sizes as int64."""
    sizes = np.array(mask.shape, dtype=np.int64).view(np.uint8)
    return torch.from_numpy(np.concatenate([sizes, np.packbits(mask.cpu().numpy().reshape(-1))]))


def unpacked_bits(bits: Tensor) -> Bool[Tensor, "d_out d_in"]:
    """The inverse of `packed_bits`."""
    data = bits.cpu().numpy()
    shape = [int(size) for size in data[:16].copy().view(np.int64)]
    return torch.from_numpy(np.unpackbits(data[16:], count=shape[0] * shape[1]).astype(bool).reshape(shape))


EXTRA = SideMemories
