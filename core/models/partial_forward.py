"""Partial forward passes: only what a change of the residual stream at one token can reach.

Adding δ to the residual stream after layer L at token c of a row changes only the tokens from c on, in the layers
above L. So each row is run once, without gradients. The keys and values of its tokens before c are stored, and its
residual stream after L from c on. From then on only the layers above L run, on the tokens from c on, against the
stored keys and values; rows of few tokens share lanes (`core.models.packing`). The result equals the full forward
pass, at a fraction of its cost.

The model's own code computes it. Layers up to L are skipped: their `forward` is replaced during a pass, that of L by
the stored states plus δ. A frozen KV cache supplies the keys and values, so rotary embeddings and the signatures of
layers remain the model's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import DynamicCache

from core.models.hooks import last_mlp_at, logits_at, skipping_layers
from core.models.kv_cache import frozen_cache, keys_and_values
from core.models.language_model import LanguageModel
from core.models.packing import Row, RowBatch, Start, packed, row_batch
from core.models.passes import passes


class PartialForward:
    """Rows prepared for passes through the layers above `layer`.

    Weights must not change between construction and use.
    """

    def __init__(
        self,
        lm: LanguageModel,
        rows: Sequence[Row],
        layer: int,
        budget: int | None = None,
        beat: Callable[[], None] | None = None,
    ):
        """Run each row once. `budget`: new tokens of a batch; `beat` is called before each pass here; callers that run
        the batches call it themselves."""
        self.lm, self.rows, self.layer = lm, rows, layer
        self.beat = beat or (lambda: None)
        self.budget = budget or lm.gradient_budget
        starts, self.in_tuple = first_pass(lm, rows, layer, self.beat)
        self.batches = self._batches(dict(enumerate(starts)))

    def drop(self, owners: set[int]) -> None:
        """Drop the rows of these owners."""
        starts: dict[int, Start] = {}
        for batch in self.batches:
            starts |= batch.starts(self.rows, self.layer)
        self.batches = self._batches({i: start for i, start in starts.items() if self.rows[i].owner not in owners})

    def logits(self, batch: RowBatch, change: Float[Tensor, "n d"]) -> Float[Tensor, "m v"]:
        """Logits at the batch's reads with a change added at each row's cut. Differentiable in it."""
        hidden = batch.added(batch.hidden, change)
        inputs = {"input_ids": batch.ids, "attention_mask": batch.mask, "position_ids": batch.positions}
        with skipping_layers(self.lm, self.layer, batch.as_output(hidden)), last_mlp_at(self.lm, *batch.reads):
            return logits_at(self.lm, inputs, *batch.reads, cache=frozen_cache(batch.past))

    def _batches(self, starts: dict[int, Start]) -> list[RowBatch]:
        return [
            row_batch(self.lm, self.rows, starts, lanes, self.layer, self.in_tuple)
            for lanes in packed(self.lm, self.rows, list(starts), self.budget)
        ]


@torch.no_grad()
def first_pass(
    lm: LanguageModel, rows: Sequence[Row], layer: int, beat: Callable[[], None]
) -> tuple[list[Start], bool]:
    """(what is stored of each row, whether the model's layers return tuples). Shared prefixes are run once."""
    starts: dict[int, Start] = {}
    in_tuple = False
    nowhere = torch.zeros(0, dtype=torch.long)
    for part in passes(lm, [row.ids for row in rows], lm.token_budget):
        beat()
        cache = DynamicCache()
        seen: list[Any] = []
        handle = lm.layers[layer].register_forward_hook(lambda _, __, output, seen=seen: seen.append(output))
        # No logits are wanted, and nothing of the last layer but keys and values.
        skipped = last_mlp_at(lm, nowhere, nowhere) if layer < lm.n_layers - 1 else nullcontext()
        try:
            with skipped:
                logits_at(lm, part.inputs, nowhere, nowhere, cache)
        finally:
            handle.remove()
        in_tuple = isinstance(seen[0], tuple)
        hidden = seen[0][0] if in_tuple else seen[0]
        for index, (r, columns) in part.places.items():
            at, cut = torch.as_tensor(columns, device=lm.device), rows[index].cut
            held = [keys_and_values(cached) for cached in cache.layers[layer + 1 :]]
            above = [(keys[r][:, at[:cut]], values[r][:, at[:cut]]) for keys, values in held]
            starts[index] = Start(above, hidden[r, at[cut:]])
    return [starts[index] for index in range(len(rows))], in_tuple
