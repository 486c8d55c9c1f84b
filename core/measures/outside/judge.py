"""A second model as the judge: does an answer agree with the expected one? One fixed question."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from core.errors import UserError
from core.measures.outside.metrics import not_finite, rate_answers
from core.models.chat import Frame, chat_frame
from core.models.language_model import LanguageModel
from core.models.loading import load_model
from core.paths import ASSETS

QUESTION = (
    "Question: complete the sentence. {prompt} ...\n"
    "Expected answer: {expected}\n"
    "Given answer: {given}\n"
    "Does the given answer agree with the expected answer? Reply yes or no.\n"
    "Reply:"
)
YES, NO = "yes", "no"


class Judge:
    """A causal language model by local path or hub id ("pocket" is the embedded one).

    A model with a chat template is asked in it. Raises `UserError` for a model that cannot be loaded.
    """

    def __init__(self, reference: str, device: str = "auto", assets: Path = ASSETS):
        self.lm: LanguageModel = load_model(reference, device, assets=assets)
        templated = bool(self.lm.tokenizer.chat_template)
        self._frame = chat_frame(self.lm.tokenizer, reference) if templated else Frame()

    def verdicts(
        self, triples: Sequence[tuple[str, str, str]], beat: Callable[[], None] | None = None
    ) -> tuple[list[bool], list[str]]:
        """(whether each (prompt, expected, given) agrees, notes): "yes" must be more likely than "no", by mean
        log-probability per token. Probabilities that are not finite, and an empty answer, do not agree. Raises
        `UserError` if a question is longer than the judge's context."""
        questions = [self.question(*each) for each in triples]
        longest = max((len(ids) for ids in self.lm.encode_all(questions)), default=0)
        if longest >= self.lm.max_length:
            raise UserError(
                f"The judge {self.lm.reference} reads {self.lm.max_length} tokens, and a question to it has {longest}:"
                " ask for shorter answers, or name a judge that reads more."
            )
        rated = rate_answers(self.lm, [(question, reply) for question in questions for reply in (YES, NO)], beat)
        agreed = [
            bool(answer.strip())
            and rated[question, YES].finite
            and rated[question, NO].finite
            and rated[question, YES].logprob > rated[question, NO].logprob
            for question, (_, _, answer) in zip(questions, triples, strict=True)
        ]
        return agreed, [f"judge: {note}" for note in not_finite(rated)]

    def question(self, prompt: str, expected: str, given: str) -> str:
        """The fixed question, in the model's chat template if it has one."""
        filled = {"prompt": prompt, "expected": expected, "given": " ".join(given.split())}
        text = re.sub(r"\{(\w+)\}", lambda slot: filled[slot[1]], QUESTION)
        return self._frame.before + text + self._frame.after
