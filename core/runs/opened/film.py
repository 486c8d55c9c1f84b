"""A film of a lane: one prompt, continued at all of its measured rounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.editing.deltas.ledger import Ledger
from core.errors import UserError
from core.measures.outside.words import Words
from core.models.language_model import LanguageModel
from core.runs.engine.states import States
from core.runs.progress.control import Control
from core.runs.store.record import Record
from core.runs.store.store import Run

LONGEST = 200  # characters of a prompt
MOST = 40  # rounds


def film(lm: LanguageModel, run: Run, payload: Mapping[str, Any], control: Control) -> dict[str, Any]:
    """`payload`: `{"prompt", "lane"}`. Returns `{"prompt", "lane", "rounds": [{"round", "text"}]}`, at most `MOST`
    measured rounds, evenly, the first and the last among them; the prompt is continued by `measure.word_tokens` tokens.
    Raises `UserError` for a prompt that is empty or too long, and a lane that is not there; `control` may end it.
    """
    record, prompt = Record.read(run.folder), str(payload.get("prompt", "")).strip()
    lane = record.lane(str(payload.get("lane") or record.started["lanes"][0]["label"]))
    if not 0 < len(prompt) <= LONGEST:
        raise UserError(f"a prompt of 1 to {LONGEST} characters is needed, not {len(prompt):,}")
    if len(lm.encode(lm.asked(prompt))) + record.spec.measure.word_tokens > lm.max_length:
        raise UserError(f"the prompt is longer than the {lm.max_length:,} tokens that this model reads")
    words = Words(lm, (), record.spec.measure.word_tokens)
    states = States(lm, Ledger(record.folder.ledger), record.started["layers"], beat=control.heartbeat)
    rounds = []
    for number in evenly(sorted(number for label, number in record.past.scores if label == lane)):
        weights = states.after(lane, number).weights if number else {}
        (said,) = words.after(weights, [prompt], control.heartbeat)
        rounds.append({"round": number, "text": said["text"]})
    return {"prompt": prompt, "lane": lane, "rounds": rounds}


def evenly(numbers: list[int], most: int = MOST) -> list[int]:
    """At most so many of them, the first and the last included."""
    if len(numbers) <= most:
        return numbers
    return sorted({numbers[round(i * (len(numbers) - 1) / (most - 1))] for i in range(most)})
