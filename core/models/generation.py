"""Generation: greedy or sampled continuations, and the most likely next tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import CacheLayerMixin

from core.models.hooks import logits_at
from core.models.kv_cache import keys_and_values
from core.models.language_model import LanguageModel
from core.models.passes import batches, right_padded

Pick = Callable[[Float[Tensor, "n vocabulary"]], Int[Tensor, " n"]]
Beat = Callable[[], None]


def greedy(logits: Float[Tensor, "n vocabulary"]) -> Int[Tensor, " n"]:
    """The most likely token of each row."""
    return logits.argmax(1)


def generate(
    lm: LanguageModel,
    prompts: Sequence[str],
    max_new_tokens: int,
    budget: int | None = None,
    beat: Beat | None = None,
) -> list[str]:
    """Greedy continuations, without the prompts and without special tokens; `beat` as in `continuations`."""
    rows = continuations(lm, lm.encode_all(lm.asked_all(prompts)), max_new_tokens, greedy, budget, beat)
    return [lm.text(row, skip_special_tokens=True, clean_up_tokenization_spaces=False) for row in rows]


@torch.no_grad()
def continuations(
    lm: LanguageModel,
    rows: Sequence[Sequence[int]],
    count: int,
    pick: Pick,
    budget: int | None = None,
    beat: Beat | None = None,
    over: Callable[[list[int]], bool] | None = None,
) -> list[list[int]]:
    """Up to `count` new ids for each row of ids, chosen by `pick` from the logits; ends before an EOS, or when the new
    ids are `over`.

    `beat` is called before each token. It may raise, and it may set other weights for a while.
    """
    stops = end_tokens(lm)
    result: list[list[int]] = [[] for _ in rows]
    for batch in batches([len(row) + count for row in rows], budget or lm.token_budget):
        open_rows = set(batch)
        lengths = torch.tensor([len(rows[i]) for i in batch], device=lm.device)
        inputs: dict[str, Any] = right_padded(lm, [rows[i] for i in batch])
        columns: Tensor | list[int] = lengths - 1
        cache, decided = DynamicCache(), dict[str, Tensor]()  # what is decided where the prompts end holds to the end
        for step in range(count):
            if beat is not None:
                beat()
            ends = [len(rows[i]) - 1 for i in batch] if step == 0 else []  # new tokens are no ends of prompts
            new = [(row, 0, row) for row in range(len(batch))] if step else []
            heads = [rows[i] for i in batch] if step == 0 else []
            with lm.ending(range(len(ends)), ends, inputs["input_ids"].shape[1], new, decided, heads):
                logits = logits_at(lm, inputs, range(len(batch)), columns, cache)
            chosen = pick(logits)
            for index, token in zip(batch, chosen.tolist(), strict=True):
                if token in stops:
                    open_rows.discard(index)
                elif index in open_rows:
                    result[index].append(token)
                    if over is not None and over(result[index]):
                        open_rows.discard(index)
            if not open_rows:
                break
            mask = inputs["attention_mask"]
            if step == 0:
                mask = moved_right(cache, lengths)
            mask = torch.cat([mask, torch.ones_like(chosen[:, None])], 1)
            inputs = {"input_ids": chosen[:, None], "attention_mask": mask, "position_ids": (lengths + step)[:, None]}
            columns = [0] * len(batch)
    return result


def moved_right(cache: DynamicCache, lengths: Int[Tensor, " n"]) -> Int[Tensor, "n length"]:
    """Shift the keys and values of right-padded rows, in place, so that all rows end in the same column. Returns the
    mask.

    With left padding from the start, padding tokens would attend to nothing. Attention that takes its softmax in a
    narrower type than the model's (Gemma 2 in float64) would then give NaN for every token.
    """
    width = int(lengths.max())
    columns, pads = torch.arange(width, device=lengths.device), (width - lengths)[:, None]
    taken = ((columns - pads) % width)[:, None, :, None]
    for layer in cache.layers:
        if not isinstance(layer, CacheLayerMixin):
            raise TypeError(f"{type(layer).__name__} holds no keys and values of tokens")
        layer.keys, layer.values = (
            held.gather(2, taken.to(held.device).expand(-1, held.shape[1], -1, held.shape[3]))
            for held in keys_and_values(layer)
        )
    return (columns >= pads).long()


def next_tokens(lm: LanguageModel, prompt: str, k: int = 10) -> list[tuple[str, float]]:
    """The `k` most likely next tokens of a prompt, as text, with their probabilities."""
    ids = lm.encode(lm.asked(prompt))
    with torch.no_grad(), lm.ending([0], [len(ids) - 1], len(ids), heads=[ids]):
        probabilities = logits_at(lm, right_padded(lm, [ids]), [0], [len(ids) - 1])[0].softmax(0)
    top = probabilities.topk(min(k, len(probabilities)))
    return [(lm.text([i]), p) for p, i in zip(top.values.tolist(), top.indices.tolist(), strict=True)]


def end_tokens(lm: LanguageModel) -> set[int]:
    """Ids that end a text."""
    settings = getattr(lm.model, "generation_config", None)
    ends = getattr(settings, "eos_token_id", None)
    listed = ends if isinstance(ends, list) else [ends]
    return {i for i in (*listed, lm.tokenizer.eos_token_id) if i is not None}
