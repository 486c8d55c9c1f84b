"""The logit lens: what the model would say if its residual stream went from a layer straight to the last norm and head.

nostalgebraist 2020, "interpreting GPT: the logit lens". The model's own code computes it: all its layers are skipped,
and the states stand in place of the last one's output, so norm, head and a soft cap of the logits are the model's.

Shapes: l layers, n rows of ids, p places in each, a tokens whose probability is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from core.models.hooks import logits_at, skipping_layers
from core.models.language_model import LanguageModel
from core.models.passes import batches, right_padded


@dataclass(frozen=True)
class Lens:
    """Log-probabilities of tokens after each layer, their ranks (1: the likeliest), and the likeliest token."""

    logprob: Float[Tensor, "l n p a"]
    rank: Int[Tensor, "l n p a"]
    likeliest: Int[Tensor, "l n p"]


@torch.no_grad()
def logit_lens(
    lm: LanguageModel,
    rows: Sequence[Sequence[int]],
    places: Int[Tensor, "n p"],
    tokens: Int[Tensor, "n a"],
    budget: int | None = None,
    beat: Callable[[], None] | None = None,
) -> Lens:
    """The lens at `places` of each row, for `tokens` of each row, by the model with its present weights. `beat` is
    called before each pass."""
    shape = lm.n_layers, len(rows), places.shape[1], tokens.shape[1]
    logprob, rank = torch.empty(shape, dtype=lm.master_dtype), torch.empty(shape, dtype=torch.long)
    likeliest = torch.empty(shape[:3], dtype=torch.long)
    for batch in batches([len(row) for row in rows], budget or lm.token_budget):
        if beat is not None:
            beat()
        inputs = right_padded(lm, [rows[i] for i in batch])
        members = torch.tensor(batch)
        at_rows = torch.arange(len(batch)).repeat_interleave(places.shape[1])
        at_columns, wanted = places[members].flatten(), tokens[members].to(lm.device)
        for layer, output in enumerate(_outputs(lm, inputs)):
            with skipping_layers(lm, lm.n_layers - 1, output):
                logits = logits_at(lm, inputs, at_rows, at_columns)
            logits = logits.unflatten(0, (len(batch), -1))
            own = logits.gather(2, wanted[:, None].expand(-1, places.shape[1], -1))
            logprob[layer, members] = (own - logits.logsumexp(2, keepdim=True)).cpu()
            rank[layer, members] = (1 + (logits[..., None] > own[:, :, None]).sum(2)).cpu()
            likeliest[layer, members] = logits.argmax(2).cpu()
    return Lens(logprob, rank, likeliest)


def _outputs(lm: LanguageModel, inputs: dict[str, Any]) -> list[Tensor | tuple]:
    """The output of each layer, as the model's own code gives it."""
    outputs: list[Tensor | tuple] = []

    def keep(_: nn.Module, __: tuple, output: Tensor | tuple) -> None:
        outputs.append(output)

    handles = [layer.register_forward_hook(keep) for layer in lm.layers]
    nowhere = torch.zeros(0, dtype=torch.long)
    try:
        logits_at(lm, inputs, nowhere, nowhere)
    finally:
        for handle in handles:
            handle.remove()
    return outputs
