"""Perplexity on text that no edit concerns: it rises before task scores fall."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from core.measures.outside.scores import pass_size
from core.models.forward import score_ids
from core.models.language_model import LanguageModel

MOST_TOKENS = 512


def perplexity(
    lm: LanguageModel,
    texts: Sequence[str],
    most_tokens: int | None = MOST_TOKENS,
    beat: Callable[[], None] | None = None,
) -> float:
    """exp of the mean negative log-probability (nats) per predicted token, of the model with its present weights.

    The texts' first `most_tokens` tokens are predicted (None: all), each from the tokens before it in its text; the
    first token of a text (BOS if there is one) is given. Texts longer than the model's context are cut into separate
    windows. NaN if there is nothing to predict or a probability is not finite. `beat` is called between passes.
    """
    windows = rows(lm, texts, most_tokens)
    scores = score_ids(lm, [row[:1] for row in windows], [row[1:] for row in windows], pass_size(lm), beat)
    total = sum(mean * (len(row) - 1) for mean, row in zip(scores.logprob.tolist(), windows, strict=True))
    count = sum(len(row) - 1 for row in windows)
    return _exp(-total / count) if count and math.isfinite(total) else math.nan


def rows(lm: LanguageModel, texts: Sequence[str], most_tokens: int | None) -> list[list[int]]:
    """The ids that are read, at least two a row: the first of a row is given, the others are predicted."""
    left: int | float = math.inf if most_tokens is None else most_tokens
    result = []
    for text in texts:
        ids = lm.encode(text)
        for start in range(0, len(ids) - 1, lm.max_length):
            window = ids[start : start + int(min(lm.max_length, left)) + 1] if left else []
            if len(window) > 1:
                result.append(window)
                left -= len(window) - 1
        if not left:
            break
    return result


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf
