"""Forward passes without gradients: scores of answers, and internal activations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from core.models.activation_cache import ActivationCache
from core.models.hooks import Site, captured, last_mlp_at, logits_at
from core.models.language_model import LanguageModel
from core.models.passes import batches, passes, right_padded
from core.models.tokens import answer_text, split_answer


@dataclass(frozen=True)
class Scores:
    """How the model rates answers: the mean log-probability per answer token; which answer tokens are the arg-max
    under teacher forcing, and whether all are; the arg-max ids at each position of the answer. On the CPU."""

    logprob: Float[Tensor, " n"]
    hits: list[Tensor]
    exact: Bool[Tensor, " n"]
    likeliest: list[Tensor]


def score(
    lm: LanguageModel,
    prompts: Sequence[str],
    answers: Sequence[str],
    budget: int | None = None,
    beat: Callable[[], None] | None = None,
) -> Scores:
    """Rate `answers[i]` (given without a leading space) as the continuation of `prompts[i]`; see `score_ids`."""
    framed = lm.asked_all(prompts)
    joined = [answer_text(p, a) for p, a in zip(framed, answers, strict=True)]
    heads, wholes = lm.encode_all(framed), lm.encode_all(joined)
    spoken = [text[len(prompt) :] for prompt, text in zip(framed, joined, strict=True)]
    targets = [split_answer(lm.tokenizer, *parts) for parts in zip(heads, wholes, spoken, strict=True)]
    return score_ids(lm, heads, targets, budget, beat)


@torch.no_grad()
def score_ids(
    lm: LanguageModel,
    heads: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    budget: int | None = None,
    beat: Callable[[], None] | None = None,
) -> Scores:
    """Rate the ids `targets[i]` as the continuation of the ids `heads[i]`.

    A row's input is the head and all tokens of the target but the last. Common prefixes are run once. `budget` is the
    number of padded tokens of a pass; `beat` is called after each pass.
    """
    rows = [(*head, *target[:-1]) for head, target in zip(heads, targets, strict=True)]
    logprob = torch.zeros(len(rows))
    hits: list[Tensor] = [torch.empty(0)] * len(rows)
    likeliest: list[Tensor] = [torch.empty(0)] * len(rows)
    for part in passes(lm, rows, budget or lm.token_budget, [len(head) for head in heads]):
        at_row = list(chain.from_iterable([r] * len(targets[i]) for i, (r, _) in part.places.items()))
        at_col = list(chain.from_iterable(cols[len(heads[i]) - 1 :] for i, (_, cols) in part.places.items()))
        wanted = torch.tensor(list(chain.from_iterable(targets[i] for i in part.places)), device=lm.device)
        ends = [r for r, _ in part.places.values()], [cols[len(heads[i]) - 1] for i, (_, cols) in part.places.items()]
        after = [
            (r, column, number)
            for number, (i, (r, cols)) in enumerate(part.places.items())
            for column in cols[len(heads[i]) :]
        ]
        asked = lm.ending(*ends, part.inputs["input_ids"].shape[1], after, heads=[heads[i] for i in part.places])
        with last_mlp_at(lm, torch.tensor(at_row), torch.tensor(at_col)), asked:
            logits = logits_at(lm, part.inputs, at_row, at_col)
        log_p = (logits.gather(1, wanted[:, None])[:, 0] - logits.logsumexp(1)).cpu()
        first = logits.argmax(1)
        best, hit = first.cpu(), (first == wanted).cpu()
        start = 0
        for i in part.places:
            end = start + len(targets[i])
            logprob[i] = log_p[start:end].mean()
            hits[i], likeliest[i] = hit[start:end], best[start:end]
            start = end
        if beat:
            beat()
    return Scores(logprob, hits, torch.tensor([bool(h.all()) for h in hits], dtype=torch.bool), likeliest)


@torch.no_grad()
def activations(
    lm: LanguageModel,
    texts: Sequence[str | Sequence[int]],
    positions: Sequence[int],
    layers: Sequence[int],
    site: str,
    budget: int | None = None,
    beat: Callable[[], None] | None = None,
) -> dict[int, Float[Tensor, "n d"]]:
    """Activations at one token of each text (or of each list of ids), by layer.

    `site` is "key" (the input of the down-projection), "down" (its output, with the bias if it has one), "ffn" (what
    the FFN adds to the residual stream: the same unless a norm comes between) or "block" (the residual stream after
    the layer). float32, or float64 if the model is.
    """
    by_site = activations_at(lm, texts, positions, [(site, layer) for layer in layers], budget, beat)
    return {layer: by_site[site, layer] for layer in layers}


@torch.no_grad()
def activations_at(
    lm: LanguageModel,
    texts: Sequence[str | Sequence[int]],
    positions: Sequence[int],
    sites: Sequence[Site],
    budget: int | None = None,
    beat: Callable[[], None] | None = None,
) -> dict[Site, Float[Tensor, "n d"]]:
    """`activations` at several sites in one pass.

    Tokens after the requested one are not run, since it does not attend to them. `beat` is called before each pass.
    """
    rows = [tuple(ids[: p + 1]) for ids, p in zip(_ids(lm, texts), positions, strict=True)]
    return ActivationCache(lm, rows, budget, beat).at(sites)


@torch.no_grad()
def token_activations(
    lm: LanguageModel,
    texts: Sequence[str],
    layers: Sequence[int],
    site: str,
    budget: int | None = None,
    beat: Callable[[], None] | None = None,
) -> dict[int, Float[Tensor, "n d"]]:
    """Activations at every token of every text, one below the other in the order of the texts. `beat` is called before
    each pass."""
    rows = [tuple(ids) for ids in lm.encode_all(texts)]
    parts: dict[int, list[Tensor]] = {layer: [torch.empty(0)] * len(rows) for layer in layers}
    for part in passes(lm, rows, budget or lm.token_budget):
        if beat is not None:
            beat()
        with captured(lm, [(site, layer) for layer in layers], len(part.inputs["input_ids"])) as recorded:
            lm.model(**part.inputs, use_cache=False)
        for layer in layers:
            states = recorded[site, layer].to(lm.master_dtype)
            for index, (r, columns) in part.places.items():
                parts[layer][index] = states[r, torch.as_tensor(columns, device=lm.device)]
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


def _ids(lm: LanguageModel, texts: Sequence[str | Sequence[int]]) -> list[Sequence[int]]:
    return [lm.encode(text) if isinstance(text, str) else text for text in texts]
