"""The steps of a run, and the finished ones, from the spec and the committed events."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.editing.stopwatch import SETUP, charged
from core.runs.progress.events import SINGLE, standing
from core.runs.spec.run_spec import RunSpec

ALL_DONE = "All rounds are edited and measured."


@dataclass(frozen=True)
class Plan:
    """Rounds of `size` facts out of `facts`; round numbers count from 1, facts from 0. Every `every`-th round is
    measured, or those in `chosen`; the last one always. Facts that a lane leaves out (`without`) keep their places.
    With `alone` every round begins with the unedited model (the protocol "single"), else with the round before."""

    facts: int
    size: int
    every: int = 1
    chosen: frozenset[int] | None = None
    alone: bool = False

    @classmethod
    def of(cls, spec: RunSpec, facts: int) -> Plan:
        """The plan of a spec that has so many facts."""
        chosen = None if spec.measure.rounds is None else frozenset(spec.measure.rounds)
        return cls(facts, spec.round_size, spec.measure.every, chosen, spec.protocol == SINGLE)

    @property
    def rounds(self) -> int:
        """The number of rounds; the last one may be smaller."""
        return -(-self.facts // self.size)

    def edited_in(self, number: int, without: Collection[int] = ()) -> list[int]:
        """The facts of one round."""
        return self.edited_since(number - 1, number, without)

    def edited_by(self, number: int, without: Collection[int] = ()) -> list[int]:
        """The facts that the state after a round holds: all up to its end, or its own if it was edited alone."""
        return self.edited_since(max(0, number - 1) if self.alone else 0, number, without)

    def so_far(self, number: int, without: Collection[int] = ()) -> list[int]:
        """The facts edited up to the end of a round, whichever state holds them."""
        return self.edited_since(0, number, without)

    def base(self, number: int) -> int:
        """The round whose state a round edits; 0 is the unedited model."""
        return 0 if self.alone else number - 1

    def round_of(self, fact: int) -> int:
        """The round that edits a fact."""
        return fact // self.size + 1

    def measured(self, number: int) -> bool:
        """Whether a round's end is measured."""
        due = number % self.every == 0 if self.chosen is None else number in self.chosen
        return due or number == self.rounds

    def edited_since(self, before: int, number: int, without: Collection[int] = ()) -> list[int]:
        """The facts edited after the end of round `before`, up to the end of round `number`."""
        return [i for i in range(before * self.size, min(number * self.size, self.facts)) if i not in without]

    def measurements(self, start: int = 0) -> int:
        """The number of measured rounds after round `start`."""
        return sum(self.measured(number) for number in range(start + 1, self.rounds + 1))


class Past:
    """What was edited and measured according to the committed events, without what was undone."""

    def __init__(self, events: Iterable[Mapping[str, Any]]):
        self.started: Mapping[str, Any] | None = None
        self.edited: set[tuple[str, int]] = set()
        self.failed: dict[str, int] = {}
        self.seconds: dict[tuple[str, int], Mapping[str, float | None]] = {}
        self.sizes: dict[tuple[str, int], int] = {}
        self.scores: dict[tuple[str, int], Mapping[str, Any]] = {}
        self.layers: dict[tuple[str, int], Sequence[Mapping[str, Any]]] = {}
        self.overlaps: dict[tuple[str, int], dict[int, float | None]] = {}
        self.origins: dict[str, tuple[str, int]] = {}
        self.guarded: dict[tuple[str, int], float] = {}
        self.warned: set[tuple[str | None, str]] = set()
        for event in standing(events):
            if event["kind"] == "started":
                self.start(event)
            elif event["kind"] == "edited":
                self.edit(event)
            elif event["kind"] == "measured":
                self.measure(event)
            elif event["kind"] == "warned":
                self.warn(event)

    def start(self, started: Mapping[str, Any]) -> None:
        """Record a `started` event, as stored."""
        self.started = started
        begins = {lane["label"]: lane.get("from") for lane in started["lanes"]}
        self.origins = {label: (at["lane"], at["round"]) for label, at in begins.items() if at}

    def edit(self, edited: Mapping[str, Any]) -> None:
        """Record an `edited` event, as stored."""
        place = edited["lane"], edited["round"]
        self.edited.add(place)
        self.seconds[place], self.sizes[place] = edited["seconds"], len(edited.get("facts") or ())
        rows = edited.get("layers") or ()
        self.overlaps[place] = {row["layer"]: row.get("key_overlap") for row in rows}
        self.guarded[place] = max((row.get("removed_share") or 0.0 for row in rows), default=0.0)

    def warn(self, warned: Mapping[str, Any]) -> None:
        """Record a `warned` event, as stored. At level "error" its lane has ended."""
        if warned.get("about"):
            self.warned.add((warned.get("lane"), warned["about"]))
        if warned.get("level") == "error" and warned.get("lane"):
            self.failed[warned["lane"]] = warned.get("round") or 0

    def measure(self, measured: Mapping[str, Any]) -> None:
        """Record a `measured` event, as stored."""
        place = measured["lane"], measured["round"]
        self.scores[place], self.layers[place] = measured["scores"], measured.get("layers") or ()

    def rows(self, place: tuple[str, int]) -> list[dict[str, Any]]:
        """The rows of layers.csv for a measured round of a lane, with the columns that warnings need."""
        overlaps = self.overlaps.get(place, {})
        return [{**row, "key_overlap": overlaps.get(row["layer"])} for row in self.layers[place]]

    @property
    def last_round(self) -> int:
        """The last edited round of any lane; 0 if there is none."""
        return max((number for _, number in self.edited), default=0)

    def last_edit(self, lane: str) -> int:
        """The last round of a lane whose edit is committed, or else the round after which the lane begins."""
        return max((number for label, number in self.edited if label == lane), default=self.begins(lane))

    def begins(self, lane: str) -> int:
        """The round after which a lane begins; 0 if it begins with the unedited model."""
        return self.origins[lane][1] if lane in self.origins else 0

    def history(self, lane: str, upto: int | None = None) -> list[tuple[str, int]]:
        """(lane, round) of all measurements of a lane, ascending; before the branch those of its parent."""
        own = [(label, n) for label, n in self.scores if label == lane and (upto is None or n <= upto)]
        if lane in self.origins:
            parent, start = self.origins[lane]
            first = min((n for _, n in own), default=start + 1)
            before = self.history(parent, start if upto is None else min(start, upto))
            own += [place for place in before if place[1] < first]
        return sorted(own, key=lambda place: place[1])

    def last_measured(self, lane: str, before: int) -> tuple[str, int]:
        """(lane, round) of a lane's last measurement before a round; (lane, 0) if there is none."""
        places = self.history(lane, before - 1)
        return places[-1] if places else (lane, 0)

    def edit_seconds(self, lane: str, number: int) -> dict[str, float | None]:
        """The time of editing since the lane's last measurement, up to the end of a round, in seconds.

        `edit_seconds` is the time charged to the lane, `per_edit_seconds` that time per edited fact (None without any),
        `setup_seconds` the time of work that all lanes share and that was done while this lane was edited.
        """
        last = max((n for label, n in self.scores if label == lane and n < number), default=0)
        places = [place for n in range(last + 1, number + 1) if (place := (lane, n)) in self.seconds]
        spent, edits = sum((charged(self.seconds[p]) for p in places), 0.0), sum(self.sizes[p] for p in places)
        return {
            "edit_seconds": spent,
            "per_edit_seconds": spent / edits if edits else None,
            "setup_seconds": sum((self.seconds[place].get(SETUP) or 0.0 for place in places), 0.0),
        }

    def outcome(self, lanes: Sequence[str]) -> str:
        """The final message of a run of these lanes."""
        ended = [f"{lane} in round {self.failed[lane]}" for lane in lanes if lane in self.failed]
        if not ended:
            return ALL_DONE
        if len(ended) == len(lanes):
            return f"No lane completed the run; ended early: {', '.join(ended)}. See the warnings."
        return f"{ALL_DONE[:-1]}, except for lanes that ended early: {', '.join(ended)}. See their warnings."

    def steps_left(self, plan: Plan, lanes: Sequence[str]) -> tuple[dict[str, int], dict[str, int]]:
        """The remaining edits and measurements, per lane."""
        going = [lane for lane in lanes if lane not in self.failed]
        edits = {lane: plan.rounds - self.last_edit(lane) for lane in going}
        begins = {lane: self.begins(lane) for lane in going}
        measured = {lane: sum(1 for label, n in self.scores if label == lane and n > begins[lane]) for lane in going}
        return edits, {lane: plan.measurements(begins[lane]) - measured[lane] for lane in going}
