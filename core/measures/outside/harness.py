"""An adapter of our model for lm-evaluation-harness, and the harness itself, imported only when tasks are requested."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from core.measures.outside.scores import pass_size
from core.models.forward import score_ids
from core.models.generation import continuations, greedy
from core.models.language_model import LanguageModel
from core.models.passes import batches
from core.models.tokens import answer_text, split_answer

NEW_TOKENS = 256  # of a generated answer, where the task does not say

Ids = list[int]


@dataclass
class HarnessModel:
    """The three kinds of requests that tasks make, answered by `lm` with its present weights.

    Requests are tokenised once and cached: a task makes the same ones every time. What the model wears may put text
    before a context; without a context there is no question to put it before. Texts are encoded as everywhere in
    the lab, with exactly one BOS. If the model is asked as chat, a context is a user's message, and its continuation
    begins the assistant's turn. Whole texts without context stay unchanged.
    """

    lm: LanguageModel
    heartbeat: Callable[[], None] | None = None
    pairs: dict[tuple[str, str, str], tuple[Ids, Ids]] = field(default_factory=dict)
    rank: int = 0
    world_size: int = 1

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """(summed log-probability of the continuation, whether it is the greedy one) for (context, continuation)."""
        bare = [context.rstrip() for context, _ in (request.args for request in requests)]
        asked = self.lm.asked_all(bare)
        return self._rate([self._pair(text, *request.args) for text, request in zip(asked, requests, strict=True)])

    def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
        """Log-probability of whole texts, in windows of the model's length where they are longer."""
        from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

        totals = []
        for (text,) in (request.args for request in requests):
            windows = get_rolling_token_windows(
                self._plain(text), self._prefix, max_seq_len=self.lm.max_length, context_len=1
            )
            rated = self._rate([(list(c), list(t)) for c, t in map(make_disjoint_window, windows)])
            totals.append(sum(logprob for logprob, _ in rated))
        return totals

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """Greedy continuations up to the task's stop texts. Tasks that ask for sampling get greedy ones too."""
        arguments = [request.args for request in requests]
        counts = [int(settings.get("max_gen_toks") or NEW_TOKENS) for _, settings in arguments]
        heads = [
            self.lm.encode(text)[-max(1, self.lm.max_length - count) :]
            for text, count in zip(self.lm.asked_all([context for context, _ in arguments]), counts, strict=True)
        ]
        answers = [""] * len(arguments)
        for count in dict.fromkeys(counts):
            same = [i for i, other in enumerate(counts) if other == count]
            for part in batches([len(heads[i]) + count for i in same], self.lm.token_budget):
                chosen = [same[i] for i in part]
                texts = continuations(self.lm, [heads[i] for i in chosen], count, greedy, beat=self.heartbeat)
                for i, new in zip(chosen, texts, strict=True):
                    answers[i] = _until(str(self.lm.tokenizer.decode(new, skip_special_tokens=True)), arguments[i][1])
                self._beat()
        return answers

    def _rate(self, pairs: Sequence[tuple[Ids, Ids]]) -> list[tuple[float, bool]]:
        heads, targets = [head for head, _ in pairs], [target for _, target in pairs]
        scores = score_ids(self.lm, heads, targets, pass_size(self.lm), self.heartbeat)
        rows = zip(scores.logprob.tolist(), scores.exact.tolist(), targets, strict=True)
        return [(mean * len(target), exact) for mean, exact, target in rows]

    def _pair(self, framed: str, context: str, continuation: str) -> tuple[Ids, Ids]:
        """Ids of both parts, cut from those of the joined text; spaces that end the context open the continuation.
        `framed` is the context as the model is asked it."""
        key = framed, context, continuation
        if key not in self.pairs:
            bare = context.rstrip()
            if bare and framed != bare:
                joined = answer_text(framed, continuation.strip())
                head, whole = self.lm.encode_all([framed, joined])
                target = split_answer(self.lm.tokenizer, head, whole, joined[len(framed) :])
            elif bare:
                head, whole = self.lm.encode_all([bare, context + continuation])
                target = whole[len(head) :]
            else:
                head, target = [self._prefix], self._plain(context + continuation)
            room = max(1, self.lm.max_length + 1 - len(target))
            self.pairs[key] = list(head[-room:]), list(target)
        return self.pairs[key]

    def _plain(self, text: str) -> Ids:
        return list(self.lm.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    @property
    def _prefix(self) -> int:
        """The replacement of an empty context."""
        bos, eos = self.lm.tokenizer.bos_token_id, self.lm.tokenizer.eos_token_id
        return bos if bos is not None else eos

    def _beat(self) -> None:
        if self.heartbeat:
            self.heartbeat()


@dataclass(frozen=True)
class Harness:
    """The pieces of lm-evaluation-harness that tasks are built from."""

    version: str
    task: Callable[..., Any]
    dataset: Callable[[list[dict[str, Any]]], Any]
    manager: Callable[[str | None], Any]  # of a folder of YAML tasks, or of all that the harness ships


@cache
def load_harness() -> Harness:
    """Import the harness (a second or more). Its index of thousands of tasks is read only if `manager(None)` is."""
    import lm_eval
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks import TaskManager

    @cache
    def manager(folder: str | None) -> TaskManager:
        return TaskManager(include_path=folder, include_defaults=folder is None)

    return Harness(lm_eval.__version__, ConfigurableTask, Dataset.from_list, manager)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the harness's log lines and progress bars: the lab has its own."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)


def _until(text: str, settings: Mapping[str, Any]) -> str:
    """The text before the first stop text of a task's generation settings."""
    stops = settings.get("until") or []
    for stop in [stops] if isinstance(stops, str) else stops:
        text = text.split(stop)[0] if stop else text
    return text
