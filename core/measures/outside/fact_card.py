"""The fact card: probabilities of the answers to one fact's questions, and its round's changes of the weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from core.editing.lane.state import LaneState, LayerUpdates
from core.editing.rounds.spread import removed
from core.facts.fact import Fact
from core.measures.outside.scores import Answers
from core.models.language_model import LanguageModel

MOST = {"paraphrase": 6, "neighbor": 10, "portability": 6}  # questions of a kind


@dataclass(frozen=True, kw_only=True)
class FactQuestion:
    """A question of a fact: `target` is the answer that an edit asks for, `truth` the one before it (of a neighbor:
    its true answer, which must not change). None if there is no such answer."""

    kind: str
    prompt: str
    target: str | None
    truth: str | None

    @property
    def wanted(self) -> str:
        """The correct answer."""
        right = self.truth if self.kind == "neighbor" else self.target
        assert right is not None
        return right


def questions(fact: Fact) -> list[FactQuestion]:
    """The edited fact, then its paraphrases, neighbors and portability questions, at most `MOST` of a kind."""
    truth = fact.truth if fact.truth != fact.target else None
    result = [FactQuestion(kind="edit", prompt=fact.text, target=fact.target, truth=truth)]
    for text in fact.paraphrases[: MOST["paraphrase"]]:
        result.append(FactQuestion(kind="paraphrase", prompt=text, target=fact.target, truth=truth))
    for neighbor in fact.neighborhood[: MOST["neighbor"]]:
        target = fact.target if fact.target != neighbor.answer else None
        result.append(FactQuestion(kind="neighbor", prompt=neighbor.prompt, target=target, truth=neighbor.answer))
    for question in fact.portability[: MOST["portability"]]:
        result.append(FactQuestion(kind="portability", prompt=question.prompt, target=question.answer, truth=None))
    return result


def rated(lm: LanguageModel, questions: Sequence[FactQuestion]) -> dict[str, list[Any]]:
    """The model's ratings of the questions, with its present weights: `{"target", "truth", "exact"}`, an entry for
    each.

    Probabilities are geometric means over an answer's tokens, exp of the mean log-probability under teacher forcing
    (None if there is no such answer, or if it is not finite); `exact` is whether each token of the correct answer is
    the arg-max.
    """
    answers = Answers(lm)
    pairs = [
        (question.prompt, answer)
        for question in questions
        for answer in (question.target, question.truth)
        if answer is not None
    ]
    answers.rate(pairs)

    def probability(prompt: str, answer: str | None) -> float | None:
        if answer is None:
            return None
        value = math.exp(answers.known[prompt, answer].logprob)
        return value if math.isfinite(value) else None

    return {
        "target": [probability(question.prompt, question.target) for question in questions],
        "truth": [probability(question.prompt, question.truth) for question in questions],
        "exact": [answers.known[question.prompt, question.wanted].exact for question in questions],
    }


def applied(
    lm: LanguageModel, update: LayerUpdates, state: LaneState, hashes: Mapping[str, str]
) -> list[dict[str, Any]]:
    """A round's change of each layer: `layer`, ‖ΔW‖_F as it was added (`norm`) and before the guards (`raw`), ‖W_0‖_F
    (`weight`), the share of ‖ΔW‖² that guards removed (`removed`), the `hash` of W_t as rebuilt (`state`).

    `same` is whether that equals the hash recorded when the round was edited (`hashes`, by layer); None without one.
    """
    rows = []
    for layer, delta in sorted(update.updates.items()):
        raw, digest, noted = update.raw.get(layer, delta), state.digest(layer), hashes.get(str(layer))
        rows.append(
            {
                "layer": layer,
                "norm": delta.norm(),
                "raw": raw.norm(),
                "weight": float(lm.original(layer).norm()),
                "removed": removed(raw, delta),
                "hash": digest,
                "same": None if noted is None else noted == digest,
            }
        )
    return rows


def as_rows(questions: Sequence[FactQuestion]) -> list[dict[str, Any]]:
    """The questions as JSON types."""
    return [asdict(question) for question in questions]
