"""The model's own words: greedy or sampled continuations, and the likeliest next tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache

from core.models.inside import logits_at
from core.models.language_model import LanguageModel
from core.models.passes import batches, right_padded

Pick = Callable[[Float[Tensor, "n vocabulary"]], Int[Tensor, " n"]]


def greedy(logits: Float[Tensor, "n vocabulary"]) -> Int[Tensor, " n"]:
    """The likeliest token of each row."""
    return logits.argmax(1)


def generate(lm: LanguageModel, prompts: Sequence[str], max_new_tokens: int, budget: int | None = None) -> list[str]:
    """Greedy continuations, without the prompts and without special tokens."""
    rows = continuations(lm, lm.encode_all([lm.asked(p) for p in prompts]), max_new_tokens, greedy, budget)
    return [lm.tokenizer.decode(row, skip_special_tokens=True, clean_up_tokenization_spaces=False) for row in rows]


@torch.no_grad()
def continuations(
    lm: LanguageModel, rows: Sequence[Sequence[int]], count: int, pick: Pick, budget: int | None = None
) -> list[list[int]]:
    """Up to `count` new ids for each row of ids, each chosen by `pick` from the logits; ends before an EOS."""
    stops = end_tokens(lm)
    result: list[list[int]] = [[] for _ in rows]
    for batch in batches([len(row) + count for row in rows], budget or lm.token_budget):
        open_rows = set(batch)
        inputs, positions = left_padded(lm, [rows[i] for i in batch])
        cache = DynamicCache()
        for _ in range(count):
            width = inputs["input_ids"].shape[1]
            logits = logits_at(
                lm,
                {**inputs, "position_ids": positions, "past_key_values": cache, "use_cache": True},
                range(len(batch)),
                [width - 1] * len(batch),
            )
            chosen = pick(logits)
            for index, token in zip(batch, chosen.tolist(), strict=True):
                if token in stops:
                    open_rows.discard(index)
                elif index in open_rows:
                    result[index].append(token)
            if not open_rows:
                break
            mask = torch.cat([inputs["attention_mask"], torch.ones_like(chosen[:, None])], 1)
            inputs = {"input_ids": chosen[:, None], "attention_mask": mask}
            positions = positions[:, -1:] + 1
    return result


def next_tokens(lm: LanguageModel, prompt: str, k: int = 10) -> list[tuple[str, float]]:
    """The `k` likeliest next tokens of a prompt, as text, with their probabilities."""
    ids = lm.encode(lm.asked(prompt))
    with torch.no_grad():
        probabilities = logits_at(lm, right_padded(lm, [ids]), [0], [len(ids) - 1])[0].softmax(0)
    top = probabilities.topk(min(k, len(probabilities)))
    return [(lm.tokenizer.decode([i]), p) for p, i in zip(top.values.tolist(), top.indices.tolist(), strict=True)]


def left_padded(
    lm: LanguageModel, rows: Sequence[Sequence[int]]
) -> tuple[dict[str, Int[Tensor, "n length"]], Int[Tensor, "n length"]]:
    """(model inputs, positions) of rows of ids that end in the same column."""
    length = max(len(row) for row in rows)
    pads = torch.tensor([length - len(row) for row in rows], device=lm.device)[:, None]
    ids = torch.tensor([[*[0] * (length - len(row)), *row] for row in rows], device=lm.device)
    columns = torch.arange(length, device=lm.device)[None]
    return {"input_ids": ids, "attention_mask": (columns >= pads).long()}, (columns - pads).clamp(min=0)


def end_tokens(lm: LanguageModel) -> set[int]:
    """Ids that end a text."""
    settings = getattr(lm.model, "generation_config", None)
    ends = getattr(settings, "eos_token_id", None)
    listed = ends if isinstance(ends, list) else [ends]
    return {i for i in (*listed, lm.tokenizer.eos_token_id) if i is not None}
