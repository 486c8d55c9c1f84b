"""What a run will do, step by step, and what of it is done already: read from the spec and the committed events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.runs.events import standing


@dataclass(frozen=True)
class Plan:
    """Rounds of `size` facts out of `facts`; round numbers count from 1, facts from 0. `every`: rounds between
    measurements (the last one is measured always)."""

    facts: int
    size: int
    every: int = 1

    @property
    def rounds(self) -> int:
        """How many rounds there are; the last one may be smaller."""
        return -(-self.facts // self.size)

    def edited_in(self, number: int) -> list[int]:
        """The facts of one round."""
        return list(range((number - 1) * self.size, min(number * self.size, self.facts)))

    def edited_by(self, number: int) -> list[int]:
        """The facts edited up to the end of a round."""
        return list(range(min(number * self.size, self.facts)))

    def measured(self, number: int) -> bool:
        """Whether a round's end is measured."""
        return number % self.every == 0 or number == self.rounds

    def since_measured(self, number: int) -> list[int]:
        """The facts edited since the measurement before that of this round."""
        before = max((n for n in range(number) if n == 0 or self.measured(n)), default=0)
        return list(range(before * self.size, min(number * self.size, self.facts)))

    def measurements(self) -> int:
        """How many of the rounds are measured."""
        return sum(self.measured(number) for number in range(1, self.rounds + 1))


class Past:
    """What the committed events say was done, and was not undone since."""

    def __init__(self, events: Iterable[Mapping[str, Any]]):
        self.started: Mapping[str, Any] | None = None
        self.edited: set[tuple[str, int]] = set()
        self.failed: dict[str, int] = {}
        self.seconds: dict[tuple[str, int], float] = {}
        self.scores: dict[tuple[str, int], Mapping[str, Any]] = {}
        for event in standing(events):
            if event["kind"] == "started":
                self.started = event
            elif event["kind"] == "edited":
                self.edited.add((event["lane"], event["round"]))
                self.seconds[event["lane"], event["round"]] = event["seconds"].get("total") or 0.0
            elif event["kind"] == "measured":
                self.scores[event["lane"], event["round"]] = event["scores"]
            elif event["kind"] == "warned" and event.get("level") == "error" and event.get("lane"):
                self.failed[event["lane"]] = event.get("round") or 0

    @property
    def last_round(self) -> int:
        """The last round that any lane was edited in; 0 if none was."""
        return max((number for _, number in self.edited), default=0)

    def last_edit(self, lane: str) -> int:
        """The last round whose edit is committed; 0 if none is."""
        return max((number for label, number in self.edited if label == lane), default=0)

    def last_scores(self, lane: str, before: int) -> Mapping[str, Any] | None:
        """The lane's scores at its last measurement before a round."""
        rounds = [number for label, number in self.scores if label == lane and number < before]
        return self.scores[lane, max(rounds)] if rounds else None

    def edit_seconds(self, lane: str, number: int) -> float:
        """Seconds spent editing from the lane's last measurement to the end of a round."""
        last = max((n for label, n in self.scores if label == lane and n < number), default=0)
        return sum(self.seconds.get((lane, n), 0.0) for n in range(last + 1, number + 1))

    def steps_left(self, plan: Plan, lanes: Sequence[str]) -> tuple[dict[str, int], dict[str, int]]:
        """Edits and measurements still to do, per lane."""
        going = [lane for lane in lanes if lane not in self.failed]
        edits = {lane: plan.rounds - self.last_edit(lane) for lane in going}
        measured = {lane: sum(1 for label, number in self.scores if label == lane and number) for lane in going}
        return edits, {lane: plan.measurements() - measured[lane] for lane in going}
