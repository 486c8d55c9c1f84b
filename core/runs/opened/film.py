"""A film of a lane: one prompt, continued by the model after each measured round."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import UserError
from core.measures.outside.words import Words
from core.runs.opened.run import OpenedRun

LONGEST = 200  # characters of a prompt
MOST = 40  # rounds


def film(run: OpenedRun, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The continuation of a prompt after each measured round.

    `payload`: `{"prompt", "lane"}`. Returns `{"prompt", "lane", "rounds": [{"round", "text"}]}` for at most `MOST`
    measured rounds, evenly spaced, with the first and the last. The continuation has `measure.word_tokens` tokens.
    The run's `control` may interrupt it. Raises `UserError` for an unknown lane, and for a prompt that is empty or too
    long.
    """
    prompt, lane = str(payload.get("prompt", "")).strip(), run.lane(str(payload.get("lane") or run.labels[0]))
    lm, new_tokens = run.lm, run.spec.measure.word_tokens
    if not 0 < len(prompt) <= LONGEST:
        raise UserError(f"a prompt of 1 to {LONGEST} characters is needed, not {len(prompt):,}")
    if len(lm.encode(lm.asked(prompt))) + new_tokens > lm.max_length:
        raise UserError(f"the prompt is longer than the {lm.max_length:,} tokens that this model reads")
    words = Words(lm, (), new_tokens)
    rounds = []
    for number in evenly(sorted(number for label, number in run.past.scores if label == lane.label)):
        (continuation,) = words.after(lane.at(number).weights, [prompt], run.control.heartbeat)
        rounds.append({"round": number, "text": continuation["text"]})
    return {"prompt": prompt, "lane": lane.label, "rounds": rounds}


def evenly(numbers: list[int], most: int = MOST) -> list[int]:
    """At most `most` of the numbers, evenly spaced, with the first and the last."""
    if len(numbers) <= most:
        return numbers
    return sorted({numbers[round(i * (len(numbers) - 1) / (most - 1))] for i in range(most)})
