"""Generation as ids: the greedy continuation, and a sampled one for long texts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from core.measures.outside.scores import pass_size
from core.models.generation import continuations, end_tokens
from core.models.language_model import LanguageModel
from core.models.passes import batches
from core.models.tokens import answer_ids

Beat = Callable[[], None]
TOP = 5


class Chooser:
    """Chooses the next token: the most likely one, or with `generator` one of the `TOP` most likely, by their
    probabilities.

    A row whose logits are not finite ends there; `broken` counts them. With `forced` a text never ends early.
    """

    def __init__(self, lm: LanguageModel, generator: torch.Generator | None = None, forced: bool = False):
        self._ends = sorted(end_tokens(lm))
        self._generator, self._forced = generator, forced
        self.broken = 0

    def __call__(self, logits: Float[Tensor, "n vocabulary"]) -> Int[Tensor, " n"]:
        if self._forced:
            logits = logits.index_fill(1, torch.tensor(self._ends, device=logits.device, dtype=torch.long), -torch.inf)
        best, chosen = logits.max(1)
        finite = best.isfinite()
        if self._generator is not None:
            top = logits.float().cpu().nan_to_num().topk(min(TOP, logits.shape[1]), 1)
            choice = torch.multinomial(top.values.softmax(1), 1, generator=self._generator)
            chosen = top.indices.gather(1, choice)[:, 0].to(logits.device)
        if bool(finite.all()) or self._forced:
            return chosen
        self.broken += int((~finite).sum())
        return torch.where(finite, chosen, self._ends[0] if self._ends else 0)


def greedy_ids(
    lm: LanguageModel, prompts: Sequence[str], counts: Sequence[int], beat: Beat | None = None, line: bool = False
) -> tuple[list[list[int]], int]:
    """(the first `counts[i]` greedy tokens after `prompts[i]`, fewer if the text ends; how many rows ended because
    their logits were not finite). Prompts with the same count share batches. With `line` a row also ends when its
    first line does."""
    chooser, over = Chooser(lm), LineOver(lm) if line else None
    generated: list[list[int]] = [[] for _ in prompts]
    heads = lm.encode_all(lm.asked_all(prompts))
    for count, indices in by_count(counts).items():
        lengths = [len(heads[i]) + count for i in indices]
        for chosen in batches(lengths, pass_size(lm)):
            part = [indices[i] for i in chosen]
            new = continuations(lm, [heads[i] for i in part], count, chooser, beat=beat, over=over)
            for i, ids in zip(part, new, strict=True):
                generated[i] = ids
            if beat:
                beat()
    return generated, chooser.broken


class LineOver:
    """Whether ids hold a line that is not blank, to its end. Only where the last token may end it is the text made."""

    def __init__(self, lm: LanguageModel):
        self._lm = lm
        self._breaks: dict[int, bool] = {}  # whether a token holds a line break

    def __call__(self, ids: list[int]) -> bool:
        last = ids[-1]
        if last not in self._breaks:
            self._breaks[last] = "\n" in self._lm.text([last])
        return self._breaks[last] and "\n" in self._lm.text(ids, skip_special_tokens=True).lstrip()


def answer_lengths(lm: LanguageModel, pairs: Sequence[tuple[str, str]]) -> list[int]:
    """The number of tokens of each answer of these (prompt, answer) pairs, as a continuation of the prompt."""
    texts = lm.asked_all([prompt for prompt, _ in pairs])
    return [len(answer_ids(lm.tokenizer, text, answer)) for text, (_, answer) in zip(texts, pairs, strict=True)]


def sampled_texts(
    lm: LanguageModel, prompts: Sequence[str], length: int, seed: int, beat: Beat | None = None
) -> list[str]:
    """Prompts with their continuation, `length` tokens in all (fewer where the text ends): one top-5 sample each.

    The same seed, prompts and weights give the same texts on the same device.
    """
    chooser = Chooser(lm, torch.Generator().manual_seed(seed))
    heads = lm.encode_all(lm.asked_all(prompts))
    texts = [""] * len(prompts)
    for chosen in batches([length] * len(heads), max(pass_size(lm), 8 * length)):
        rows = [heads[i] for i in chosen]
        new = continuations(lm, rows, max(0, length - min(map(len, rows))), chooser, beat=beat)
        cut = [ids[: max(0, length - len(head))] for head, ids in zip(rows, new, strict=True)]
        for i, text in zip(chosen, decoded(lm, cut), strict=True):
            texts[i] = prompts[i] + text
        if beat:
            beat()
    return texts


def decoded(lm: LanguageModel, rows: Sequence[Sequence[int]]) -> list[str]:
    """Ids as text, without special tokens."""
    return [
        str(lm.tokenizer.decode(list(row), skip_special_tokens=True, clean_up_tokenization_spaces=False))
        for row in rows
    ]


def by_count(counts: Sequence[int]) -> dict[int, list[int]]:
    """The indices that have each count."""
    groups: dict[int, list[int]] = defaultdict(list)
    for index, count in enumerate(counts):
        groups[count].append(index)
    return groups


def match_ratio(before: Sequence[int], after: Sequence[int]) -> float:
    """Share of the positions of `before` with the same token in `after`; positions that `after` lacks count as
    different.

    1 if both are empty.
    """
    if not before:
        return float(not after)
    return sum(a == other for a, other in zip(before, after, strict=False)) / len(before)
