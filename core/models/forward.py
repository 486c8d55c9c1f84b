"""Running the model: scores of answers, activations inside. Batched by length; nothing here needs gradients.

Rows are padded on the right, where causal attention cannot see the padding; left padding is for generation only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import DynamicCache

from core.models.kept import kept, shared_start
from core.models.language_model import LanguageModel
from core.models.tokens import answer_text, split_answer

Site = tuple[str, int]  # where: "key" | "down" | "block", in which layer


@dataclass(frozen=True)
class Scores:
    """How the model rates answers: the mean log-probability per answer token; which tokens are the most likely one
    under teacher forcing, and whether all are. On the CPU."""

    logprob: Float[Tensor, " n"]
    hits: list[Tensor]
    exact: Bool[Tensor, " n"]


class _Enough(Exception):
    """Everything asked for was captured: the layers above need not run."""


def score(lm: LanguageModel, prompts: Sequence[str], answers: Sequence[str], budget: int | None = None) -> Scores:
    """Rate `answers[i]` (given without a leading space) as the continuation of `prompts[i]`; see `score_ids`."""
    heads = lm.encode_all(prompts)
    joined = lm.encode_all([answer_text(p, a) for p, a in zip(prompts, answers, strict=True)])
    targets = [split_answer(lm.tokenizer, h, j, a) for h, j, a in zip(heads, joined, answers, strict=True)]
    return score_ids(lm, heads, targets, budget)


@torch.no_grad()
def score_ids(
    lm: LanguageModel, heads: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], budget: int | None = None
) -> Scores:
    """Rate the ids `targets[i]` as the continuation of the ids `heads[i]`.

    A row's input is the head and all of the target's tokens but the last. A row that begins another one (the same
    prompt with one-token answers, or with a longer answer) is read from that one's pass. `budget` is the padded
    tokens of a pass.
    """
    rows = [(*head, *target[:-1]) for head, target in zip(heads, targets, strict=True)]
    if not rows:
        return Scores(torch.zeros(0), [], torch.zeros(0, dtype=torch.bool))
    host = hosts(rows)
    unique = list(dict.fromkeys(host.values()))
    guests: dict[tuple[int, ...], list[int]] = {row: [] for row in unique}
    for index, row in enumerate(rows):
        guests[host[row]].append(index)

    logprob = torch.empty(len(rows))
    hits: list[Tensor] = [torch.empty(0)] * len(rows)
    for batch in batches([len(row) for row in unique], budget or lm.token_budget):
        members = [(r, i) for r, u in enumerate(batch) for i in guests[unique[u]]]
        at_row = list(chain.from_iterable([r] * len(targets[i]) for r, i in members))
        at_col = list(chain.from_iterable(range(len(heads[i]) - 1, len(rows[i])) for _, i in members))
        wanted = torch.tensor(list(chain.from_iterable(targets[i] for _, i in members)), device=lm.device)
        logits = logits_at(lm, right_padded(lm, [unique[u] for u in batch]), at_row, at_col)
        log_p = (logits.gather(1, wanted[:, None])[:, 0] - logits.logsumexp(1)).cpu()
        hit = (logits.argmax(1) == wanted).cpu()
        start = 0
        for _, i in members:
            end = start + len(targets[i])
            logprob[i] = log_p[start:end].mean()
            hits[i] = hit[start:end]
            start = end
    return Scores(logprob, hits, torch.tensor([bool(h.all()) for h in hits]))


@torch.no_grad()
def activations(
    lm: LanguageModel,
    texts: Sequence[str | Sequence[int]],
    positions: Sequence[int],
    layers: Sequence[int],
    site: str,
    budget: int | None = None,
) -> dict[int, Float[Tensor, "n d"]]:
    """Activations at one token of each text (or of each list of ids), by layer.

    `site` is "key" (the input of the down-projection), "down" (its output, with the bias if it has one) or "block"
    (the residual stream after the layer). float32, or float64 if the model is.
    """
    found = activations_at(lm, texts, positions, [(site, layer) for layer in layers], budget)
    return {layer: found[site, layer] for layer in layers}


@torch.no_grad()
def activations_at(
    lm: LanguageModel,
    texts: Sequence[str | Sequence[int]],
    positions: Sequence[int],
    sites: Sequence[Site],
    budget: int | None = None,
) -> dict[Site, Float[Tensor, "n d"]]:
    """`activations` at several sites in one pass.

    Tokens after the asked one are not run: it cannot see them. What all rows of a batch begin with is run once.
    """
    rows = [list(ids)[: p + 1] for ids, p in zip(_ids(lm, texts), positions, strict=True)]
    found: dict[Site, Tensor] = {}
    for batch in batches([len(row) for row in rows], budget or lm.token_budget):
        members = [rows[i] for i in batch]
        start = shared_start(members)
        inputs = continued(lm, members, start, max(layer for _, layer in sites))
        with captured(lm, sites, len(batch)) as all_states:
            lm.model(**inputs)
        at = torch.arange(len(batch), device=lm.device)
        last = torch.tensor([len(row) - 1 - start for row in members], device=lm.device)
        for where, states in all_states.items():
            if where not in found:
                found[where] = torch.empty(len(rows), states.shape[-1], dtype=lm.master_dtype, device=lm.device)
            found[where][torch.tensor(batch, device=lm.device)] = states[at, last].to(lm.master_dtype)
    return found


@torch.no_grad()
def token_activations(
    lm: LanguageModel, texts: Sequence[str], layers: Sequence[int], site: str, budget: int | None = None
) -> dict[int, Float[Tensor, "n d"]]:
    """Activations at every token of every text, one below the other in the order of the texts."""
    rows = lm.encode_all(texts)
    parts: dict[int, list[Tensor]] = {layer: [torch.empty(0)] * len(rows) for layer in layers}
    for batch, captured, _ in captured_batches(lm, rows, [(site, layer) for layer in layers], budget):
        for layer in layers:
            states = captured[site, layer].to(lm.master_dtype)
            for r, index in enumerate(batch):
                parts[layer][index] = states[r, : len(rows[index])]
    return {layer: torch.cat(parts[layer]) for layer in layers}


@torch.no_grad()
def captured_batches(
    lm: LanguageModel, rows: Sequence[Sequence[int]], sites: Sequence[Site], budget: int | None = None
) -> Iterator[tuple[list[int], dict[Site, Tensor], list[int]]]:
    """Run rows of ids in batches: (indices of the rows, states [row, token, d] by site, lengths) for each.

    Layers above the highest site are not run. States are in the model's type; tokens past a row's length are padding.
    """
    for batch in batches([len(row) for row in rows], budget or lm.token_budget):
        members = [rows[i] for i in batch]
        with captured(lm, sites, len(batch)) as states:
            lm.model(**right_padded(lm, members), use_cache=False)
        yield batch, states, [len(row) for row in members]


@contextmanager
def captured(lm: LanguageModel, sites: Sequence[Site], n_rows: int) -> Iterator[dict[Site, Tensor]]:
    """Collect the states at `sites` of the forward pass inside the block, which ends when all are there."""
    states: dict[Site, Tensor] = {}

    def keep(where: Site, value: Tensor | tuple) -> None:
        value = value[0] if isinstance(value, tuple) else value
        states[where] = value.reshape(n_rows, -1, value.shape[-1])  # some FFNs fold rows and tokens into one
        if len(states) == len(set(sites)):
            raise _Enough

    handles = []
    for site, layer in sites:
        if site == "key":
            handles.append(
                lm.down(layer).register_forward_pre_hook(lambda _, args, where=(site, layer): keep(where, args[0]))
            )
        elif site in ("down", "block"):
            part = lm.down(layer) if site == "down" else lm.layers[layer]
            handles.append(part.register_forward_hook(lambda _, __, out, where=(site, layer): keep(where, out)))
        else:
            raise ValueError(f'there is no site {site!r}: use "key", "down" or "block"')
    try:
        yield states
    except _Enough:
        pass
    finally:
        for handle in handles:
            handle.remove()


def logits_at(
    lm: LanguageModel,
    inputs: dict,
    rows: Sequence[int] | Int[Tensor, " n"],
    columns: Sequence[int] | Int[Tensor, " n"],
) -> Float[Tensor, "n vocabulary"]:
    """Logits at the given (row, column) places of a forward pass; only those go through the head. float32 or more."""
    at_rows = torch.as_tensor(rows, dtype=torch.long, device=lm.device)
    at_columns = torch.as_tensor(columns, dtype=torch.long, device=lm.device)

    def pick(_: object, args: tuple) -> tuple:
        return (args[0][at_rows, at_columns].unsqueeze(0), *args[1:])

    handle = lm.head.register_forward_pre_hook(pick)
    try:
        logits = lm.model(**{"use_cache": False, **inputs}).logits[0]
    finally:
        handle.remove()
    return logits.to(lm.master_dtype)


def continued(lm: LanguageModel, rows: Sequence[Sequence[int]], start: int, deepest: int) -> dict[str, Any]:
    """Model inputs of rows of ids from their `start`-th on; what they share before it is run once, up to a layer."""
    inputs = right_padded(lm, [row[start:] for row in rows])
    if start == 0:
        return {**inputs, "use_cache": False}
    cache = DynamicCache()
    with captured(lm, [("block", deepest)], 1):
        lm.model(**right_padded(lm, [rows[0][:start]]), past_key_values=cache, use_cache=True)
    layers = [(held.keys, held.values) for held in cache.layers]
    layers = [(k.expand(len(rows), -1, -1, -1), v.expand(len(rows), -1, -1, -1)) for k, v in layers]
    mask = torch.ones(len(rows), start + inputs["input_ids"].shape[1], dtype=torch.long, device=lm.device)
    positions = torch.arange(start, mask.shape[1], device=lm.device)[None].expand(len(rows), -1)
    return {
        "input_ids": inputs["input_ids"],
        "attention_mask": mask,
        "position_ids": positions,
        "past_key_values": kept(layers),
        "use_cache": True,
    }


def right_padded(lm: LanguageModel, rows: Sequence[Sequence[int]]) -> dict[str, Int[Tensor, "n length"]]:
    """Model inputs of rows of ids. The mask is all ones: causal attention never looks at padding on the right."""
    length = max(len(row) for row in rows)
    ids = torch.tensor([[*row, *[0] * (length - len(row))] for row in rows], device=lm.device)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices in batches of like lengths, longest first; a batch's rows x longest length stay within `budget`."""
    result: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if not result or (len(result[-1]) + 1) * lengths[result[-1][0]] > budget:
            result.append([])
        result[-1].append(index)
    return result


def hosts(rows: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], tuple[int, ...]]:
    """For each row the longest row that begins with it: causal attention makes their common part the same."""
    result: dict[tuple[int, ...], tuple[int, ...]] = {}
    after: tuple[int, ...] = ()
    for row in sorted(set(rows), reverse=True):  # a row's extensions directly follow it in sorted order
        result[row] = result[after] if after[: len(row)] == row else row
        after = row
    return result


def _ids(lm: LanguageModel, texts: Sequence[str | Sequence[int]]) -> list[Sequence[int]]:
    return [lm.encode(text) if isinstance(text, str) else text for text in texts]
