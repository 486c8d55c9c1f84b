"""One fact of a run: its answers at several rounds of a lane, and proof that its edit was applied."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import UserError
from core.facts.fact import Fact
from core.measures.inside.fact_lens import fact_lens
from core.measures.measurement import rounded
from core.measures.outside.fact_card import applied, as_rows, questions, rated
from core.runs.opened.run import OpenedRun
from core.runs.progress.events import plain
from core.runs.store.record import Record

ROUNDS = 6  # at most, on one card
ABOUT = ("subject", "prompt", "target", "truth", "relation", "id", "source")
DIGITS = 5


def fact_card(run: OpenedRun, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The card of one fact of a run.

    `payload`: `{"fact": index, "unedited": whether it is one of the unedited facts, "lane", "round"}`. The card always
    includes `round`.

    Returns `lane`, `fact` (the fields of `ABOUT`), `edited_in` (None: the lane did not edit it), `questions`, `rounds`
    (each `{"round", "target", "truth", "exact"}`, see `outside.fact_card.rated`), `lens` (that of the unedited model
    and at `round`, each `{"round", "places"}`, see `inside.fact_lens`) and `proof` (`{"round", "layers"}`).
    Raises `UserError` for an unknown fact, lane or round.
    """
    began = time.perf_counter()
    lane = run.lane(str(payload.get("lane") or run.labels[0]))
    index, unedited = payload.get("fact"), bool(payload.get("unedited"))
    fact = fact_of(run.facts.unedited if unedited else run.facts.edit, index)
    edited_rounds, record = lane.rounds, run.record
    edited_in = None if unedited else edited(record, lane.label, edited_rounds, int(index or 0))
    shown_round = record.round(lane.label, payload.get("round"))
    questions_of_fact, rounds, lens, proof = questions(fact), [], [], None
    for number in rounds_to_ask([0, *edited_rounds], edited_in, shown_round):
        at = lane.at(number)
        with at.worn():
            rounds.append({"round": number, **rated(run.lm, questions_of_fact)})
            if number in (0, shown_round):
                lens.append({"round": number, "places": fact_lens(run.lm, fact)})
        if number == edited_in:
            layers = applied(run.lm, at.update, at.state, (at.event or {}).get("hash") or {})
            proof = {"round": number, "layers": layers}
    return plain(
        rounded(
            {
                "lane": lane.label,
                "index": index,
                "unedited": unedited,
                "fact": {name: getattr(fact, name) for name in ABOUT},
                "edited_in": edited_in,
                "questions": as_rows(questions_of_fact),
                "rounds": rounds,
                "lens": lens,
                "proof": proof,
                "seconds": time.perf_counter() - began,
            },
            DIGITS,
        )
    )


def fact_of(facts: Sequence[Fact], index: Any) -> Fact:
    """The fact of that index, counted from 0; raises `UserError` if there is none."""
    if type(index) is not int or not 0 <= index < len(facts):
        raise UserError(f"there is no fact {index!r}: this run has facts 0 to {len(facts) - 1}")
    return facts[index]


def edited(record: Record, lane: str, rounds: Sequence[int], index: int) -> int | None:
    """The round in which a lane edited a fact; None if it did not."""
    for number in rounds:
        event = record.edited(lane, number)
        if event is not None and index in event["facts"]:
            return number
    return None


def rounds_to_ask(available: Sequence[int], edited_in: int | None, shown_round: int, most: int = ROUNDS) -> list[int]:
    """At most `most` of the `available` rounds, ascending: the unedited model, the round of the edit and the one before
    it, `shown_round` and the last round. Others are placed between them as evenly as possible."""
    around = () if edited_in is None else (max(0, edited_in - 1), edited_in)
    selected = {available[0], available[-1], shown_round, *around} & set(available)
    while len(selected) < min(most, len(available)):
        places = sorted(available.index(number) for number in selected)
        width, start = max((b - a, -a) for a, b in zip(places, places[1:], strict=False))
        selected.add(available[-start + width // 2])
    return sorted(selected)
