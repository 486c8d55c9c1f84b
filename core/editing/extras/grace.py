"""A codebook at one down-projection: near a key, its output at the end of the prompt is replaced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from core.editing.extras.blocks import Memory, blocks, unpacked
from core.models.worn import Extra

KEYS, VALUES, RADII, LABELS = "grace.keys", "grace.values", "grace.radii", "grace.labels"  # blocks, b entries each
LAYER = "grace.layer"


class Codebook(Extra):
    """Entries of (key, value, radius). At the last token of a prompt the nearest key is found; if it is not farther
    than its radius, the down-projection's output there becomes its value.

    A model is causal, so what is decided there rests on the prompt alone, and holds for all tokens that follow: they
    see the value through the attention of the layers above.
    """

    def __init__(
        self,
        layer: int,
        keys: Float[Tensor, "n d_in"],
        values: Float[Tensor, "n d_out"],
        radii: Float[Tensor, " n"],
    ):
        self.layer, self.keys, self.values, self.radii = layer, keys.double(), values, radii.double()
        self.layers = (layer,) if len(keys) else ()

    @classmethod
    def of(cls, memory: Mapping[str, Tensor]) -> Codebook:
        """The codebook of a lane's memory. Entries of a round that was left out are missing, whatever a later round
        did to them."""
        kept = list(blocks(memory, KEYS))
        parts = [torch.cat([memory_of[first] for first in kept]) for memory_of in entries(memory)] if kept else None
        layer = int(unpacked(memory[LAYER]))
        return cls(layer, *(parts or (torch.zeros(0, 1), torch.zeros(0, 1), torch.zeros(0))))

    def hooks(self, lm: Any) -> list[RemovableHandle]:
        """One hook, after the down-projection."""
        if not len(self.keys):
            return []
        book = Codebook(self.layer, *(part.to(lm.device) for part in (self.keys, self.values, self.radii)))

        def hook(_: Any, args: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
            inputs = args[0].reshape(-1, args[0].shape[-1])
            at = torch.arange(len(inputs), device=inputs.device) if lm.ends is None else lm.ends
            entry, fires = book.decided(inputs[at])
            if not bool(fires.any()):
                return None
            return replaced(output, at[fires], book.values[entry[fires]])

        return [lm.down(self.layer).register_forward_hook(hook, prepend=True)]

    def decided(self, queries: Float[Tensor, "q d_in"]) -> tuple[Int[Tensor, " q"], Bool[Tensor, " q"]]:
        """The nearest entry of each query, and whether the query lies within its radius."""
        if not len(queries):
            return queries.new_zeros(0, dtype=torch.long), queries.new_zeros(0, dtype=torch.bool)
        distance, entry = distances(queries, self.keys).min(1)
        return entry, distance <= self.radii[entry]


def entries(memory: Memory) -> tuple[dict[int, Tensor], ...]:
    """The blocks of keys, values and radii, by the number of the first entry."""
    return blocks(memory, KEYS), blocks(memory, VALUES), blocks(memory, RADII)


def distances(queries: Float[Tensor, "q d"], keys: Float[Tensor, "n d"]) -> Float[Tensor, "q n"]:
    """Euclidean distances by one matrix product, in float64: a query equals its key up to about 1e-8 of its norm."""
    asked, known = queries.double(), keys.double()
    squares = asked.square().sum(1)[:, None] + known.square().sum(1) - 2 * asked @ known.T
    return squares.clamp(min=0).sqrt()


def replaced(output: Float[Tensor, "*_ d_out"], at: Int[Tensor, " m"], rows: Float[Tensor, "m d_out"]) -> Tensor:
    """The output with these rows at the flat places `at`. Gradients reach the rows."""
    flat = output.reshape(-1, output.shape[-1])
    return flat.index_put((at,), rows.to(flat.dtype)).view_as(output)


EXTRA = Codebook
