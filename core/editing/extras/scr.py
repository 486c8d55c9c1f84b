"""Retrieval: the remembered sentences that are like a prompt are put before it, if they are alike enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from core.editing.extras.blocks import blocks, items, unpacked
from core.editing.extras.retrievers import Retriever, retriever
from core.models.worn import Extra

FACTS = "scr.facts"  # blocks of items {"prompt", "sentence", "subject"}
VECTORS = "scr.vectors"  # blocks [b, d] of the sentences' vectors, for retrievers that embed once
CENTER = "scr.center"  # [d], subtracted from all vectors
SETTINGS = "scr.settings"
FALSE_FIRES = 0.05  # of other subjects' facts, by which the threshold is chosen
CALIBRATED_ON = 500  # remembered facts, evenly spread


class Retrieval(Extra):
    """The memory of sentences, and the rule by which some are put before a prompt.

    The most similar sentence is accepted if its similarity is at least the threshold, and exceeds that of the best
    sentence about another subject by the margin. Then the `k` most similar sentences precede the prompt, the best one
    last, next to the question, and fewer if they do not fit. Similarities are the retriever's: computed from the prompt
    alone on the unedited model.
    """

    def __init__(self, facts: Sequence[Mapping[str, str]], settings: Mapping[str, Any], vectors: Retriever):
        self.settings, self.vectors = settings, vectors
        self.facts = _latest(facts)
        self._contexts: dict[str, str] = {}

    @classmethod
    def of(cls, memory: Mapping[str, Tensor]) -> Retrieval:
        """The memory's sentences with their settings."""
        settings, facts = unpacked(memory[SETTINGS]), items(memory, FACTS)
        stored = list(blocks(memory, VECTORS).values())
        rows = torch.cat(stored) if stored else None
        return cls(facts, settings, retriever(settings, facts, rows, memory.get(CENTER)))

    def asked(self, lm: Any, prompts: Sequence[str]) -> list[str]:
        """Each prompt after what is retrieved for it."""
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._contexts]
        if new:
            self._contexts.update(zip(new, self._retrieved(lm, new), strict=True))
        return [self._contexts[prompt] + prompt for prompt in prompts]

    def threshold(self, lm: Any) -> float:
        """The similarity from which a sentence is accepted: the one that was set; or the one that at most `FALSE_FIRES`
        of the remembered prompts reach with a sentence about another subject, each taken as a question that nothing
        answers. 0 with a single subject."""
        if self.settings["threshold"] is not None:
            return float(self.settings["threshold"])
        if self._measured is None:
            self._measured = self._calibrated(lm)
        return self._measured

    _measured: float | None = None

    def similarity(self, lm: Any, prompts: Sequence[str]) -> Float[np.ndarray, "prompts facts"]:
        """The similarity of each prompt with each sentence that is not superseded."""
        return self.vectors.similarity(lm, prompts)[:, [place for place, _ in self.facts]]

    def _retrieved(self, lm: Any, prompts: Sequence[str]) -> list[str]:
        if not self.facts:
            return [""] * len(prompts)
        likeness, least = self.similarity(lm, prompts), self.threshold(lm)
        order = np.argsort(-likeness, axis=1, kind="stable")
        contexts = []
        for row, places in zip(likeness, order, strict=True):
            best = places[0]
            others = row[(self._subjects != self._subjects[best]) & (self._sentences != self._sentences[best])]
            clear = not len(others) or row[best] - others.max() >= self.settings["margin"]
            chosen = dict.fromkeys(self._sentences[places].tolist()) if row[best] >= least and clear else ()
            contexts.append(self._fitting(lm, list(chosen)[: self.settings["k"]]))
        return contexts

    def _fitting(self, lm: Any, sentences: Sequence[str]) -> str:
        """The sentences, best last, as many as leave half of the model's context to the question and its answer."""
        for count in range(len(sentences), 0, -1):
            text = "".join(f"{sentence} " for sentence in reversed(sentences[:count]))
            if len(lm.encode(text)) <= lm.max_length // 2:
                return text
        return ""

    def _calibrated(self, lm: Any) -> float:
        count = min(len(self.facts), CALIBRATED_ON)
        rows = [round(i * len(self.facts) / count) for i in range(count)]
        likeness = self.similarity(lm, [self.facts[row][1]["prompt"] for row in rows])
        strange = self._subjects[None, :] != self._subjects[rows][:, None]
        best = np.where(strange, likeness, -np.inf).max(1)
        found = best[np.isfinite(best)]
        if not len(found):
            return 0.0
        return float(np.nextafter(np.quantile(found, 1 - FALSE_FIRES, method="higher"), np.inf))

    @cached_property
    def _sentences(self) -> np.ndarray:
        return np.array([fact["sentence"] for _, fact in self.facts])

    @cached_property
    def _subjects(self) -> np.ndarray:
        return np.array([fact["subject"] for _, fact in self.facts])


def _latest(facts: Sequence[Mapping[str, str]]) -> list[tuple[int, Mapping[str, str]]]:
    """The facts with their places, without those whose prompt was edited again later."""
    last = {fact["prompt"]: place for place, fact in enumerate(facts)}
    return [(place, fact) for place, fact in enumerate(facts) if last[fact["prompt"]] == place]


EXTRA = Retrieval
