"""Similarity of a question with remembered sentences: by words and letters, or by the model's own states."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from core.models.forward import token_activations
from core.models.language_model import LanguageModel

TFIDF, STATES = "tfidf", "states"
DEPTH = 0.6  # of the model's layers: where states are read
WORDS, LETTERS = (1, 2), (3, 5)  # lengths of n-grams


class Retriever(ABC):
    """Cosine similarities, from texts alone: what the model wears has no influence."""

    @abstractmethod
    def similarity(self, lm: LanguageModel, prompts: Sequence[str]) -> Float[np.ndarray, "prompts facts"]:
        """The similarity of each prompt with each remembered sentence."""


class Tfidf(Retriever):
    """Words in 1- and 2-grams and letters in 3- to 5-grams, sublinear counts, inverse document frequencies of the
    remembered sentences alone."""

    def __init__(self, sentences: Sequence[str]):
        self.sentences = list(sentences)

    @cached_property
    def _fitted(self) -> tuple[Any, Any]:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import make_union

        words = TfidfVectorizer(ngram_range=WORDS, sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
        letters = TfidfVectorizer(ngram_range=LETTERS, sublinear_tf=True, analyzer="char_wb")
        union = make_union(words, letters)
        return union, union.fit_transform(self.sentences)  # rows of both parts have length 1

    def similarity(self, lm: LanguageModel, prompts: Sequence[str]) -> Float[np.ndarray, "prompts facts"]:
        """The mean of both cosines."""
        union, rows = self._fitted
        return np.asarray((union.transform(list(prompts)) @ rows.T).todense()) / 2


class States(Retriever):
    """The unedited model's states at 0.6 of its depth: the mean over tokens except BOS, minus that of neutral texts."""

    def __init__(self, rows: Float[Tensor, "facts d"], center: Float[Tensor, " d"]):
        self.rows = F.normalize(rows - center, dim=1)
        self.center = center

    def similarity(self, lm: LanguageModel, prompts: Sequence[str]) -> Float[np.ndarray, "prompts facts"]:
        """Cosines."""
        asked = F.normalize(mean_states(lm, prompts).to(self.center) - self.center, dim=1)
        return (asked @ self.rows.T).double().cpu().numpy()


def mean_states(lm: LanguageModel, texts: Sequence[str]) -> Float[Tensor, "n d"]:
    """The mean state of each text's tokens without BOS on the unedited model, at `DEPTH` of its layers; on the CPU."""
    layer = min(round(DEPTH * lm.n_layers), lm.n_layers - 1)
    with lm.worn({}):
        states = token_activations(lm, texts, [layer], "block")[layer].cpu()
    rows = lm.encode_all(texts)
    result, start = states.new_zeros(len(texts), states.shape[1]), 0
    for number, ids in enumerate(rows):
        skipped = int(len(ids) > 1 and ids[0] == lm.tokenizer.bos_token_id)
        result[number] = states[start + skipped : start + len(ids)].mean(0)
        start += len(ids)
    return result


def retriever(
    settings: Mapping[str, Any], facts: Sequence[Mapping[str, str]], rows: Tensor | None, center: Tensor | None
) -> Retriever:
    """The retriever that the settings name, over these facts' sentences (`rows` and `center`: their stored vectors)."""
    if settings["retriever"] == STATES and facts:
        if rows is None or center is None:
            raise ValueError("this memory lacks the vectors of its sentences")
        return States(rows.cpu(), center.cpu())
    return Tfidf([fact["sentence"] for fact in facts])
