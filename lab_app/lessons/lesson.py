"""What a lesson is: a question, a prediction, an experiment, and what its numbers say."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from core.charts.grammar import Chart
from core.facts.readers.pocket import PocketWorld
from core.runs.progress.events import standing
from core.runs.store.study_queue import Asked

Events = Sequence[Mapping[str, Any]]
Rows = list[dict[str, Any]]
Interval = tuple[float, float, float]  # value, and the ends of its 95 % interval
STUDIED = "studied"  # the kind of the entry that holds what a study found, after the events of its run
NORMAL = 1.959964  # standard errors on each side of a 95 % interval


@dataclass(frozen=True, kw_only=True)
class Slider:
    """A prediction of a share, in per cent. `ends`: what its left and right end mean."""

    says: str
    ends: tuple[str, str]
    step: int = 5


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A prediction from a few options: (key, text) each."""

    says: str
    options: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Study:
    """The study of the finished run: a study of `core.measures.studies` with its options. `does`: in
    words, for the line that says what goes on."""

    name: str
    does: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def asked_by(self, asked: Asked) -> bool:
        """Whether a requested study is this one; the same run may have others."""
        mine = all(asked.options.get(name) == value for name, value in self.options.items())
        return asked.name == self.name and mine


class Outcome(NamedTuple):
    """What came true: `value` is a slider's per cent or a choice's key; None where the numbers do not decide. `says`
    is the value as a person reads it."""

    value: float | str | None
    says: str


class Seen(NamedTuple):
    """What a run showed: sentences made from its numbers, the rows of the lesson's charts (each with its `table`), and
    the outcome to hold against a prediction, once there is one."""

    sentences: list[str]
    rows: Rows
    outcome: Outcome | None = None


NOTHING = Seen([], [])


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """One lesson. All texts are plain text but `equation`, which is MathML of this package.

    `spec(seed, world)` is the experiment; another `seed` takes other facts or other random numbers, and `again` says
    which. `seen(events)` reads the events of its run as stored, and behind them, where the lesson has a `study`, an
    entry of kind "studied" with what the study found; a run may have ended early. `series` are the names in the charts
    with the slot of their colour (0: grey), in the order of the legend.
    """

    key: str
    place: int  # among the lessons, from 1
    title: str
    short: str  # in the list of lessons
    question: str
    lead: str
    predict: Slider | Choice
    does: str
    takes: str
    again: str
    spec: Callable[[int, PocketWorld | None], dict[str, Any]]
    seen: Callable[[Events], Seen]
    charts: tuple[Chart, ...]
    promise: str
    protocol: str
    equation: str
    where: str  # what the equation's letters are
    paper: str
    series: tuple[tuple[str, int], ...] = ()
    study: Study | None = None

    def fits(self, spec: Mapping[str, Any]) -> bool:
        """Whether a run's spec (as stored) is this lesson's experiment: its lanes, and the size of its rounds."""
        own = self.spec(0, None)
        lanes = [lane["name"] for lane in spec.get("lanes") or ()]
        size = (spec.get("facts") or {}).get("count"), spec.get("round_size")
        asked = own["facts"].get("count"), own["round_size"]
        return lanes == [lane["name"] for lane in own["lanes"]] and size == asked


# -- reading events


def measured(events: Events) -> dict[str, list[Mapping[str, Any]]]:
    """The valid measured events, by lane and in the order of their rounds; round 0 is the unedited model."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for event in standing(event for event in events if event["kind"] != STUDIED):
        if event["kind"] == "measured":
            found.setdefault(event["lane"], []).append(event)
    return {lane: sorted(rows, key=lambda event: event["round"]) for lane, rows in found.items()}


def together(events: Events, lanes: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """The measured events of all these lanes after the last round that each of them completed; nothing before."""
    states = measured(events)
    by_round = {lane: {state["round"]: state for state in states.get(lane) or ()} for lane in lanes}
    number = max(set.intersection(*(set(found) for found in by_round.values())), default=0)
    return {lane: found[number] for lane, found in by_round.items()} if number else {}


def bars(table: str, states: Mapping[str, Mapping[str, Any]], asked: Sequence[tuple[str, str]]) -> Rows:
    """Rows of a bar chart: the scores of `asked`, each with what it is called, under every lane."""
    return [
        {"table": table, "lane": lane, "what": what, "share": value[0], "low": value[1], "high": value[2]}
        | {"text": f"{100 * value[0]:.0f}"}
        for name, what in asked
        for lane, state in states.items()
        if (value := interval(state, name)) is not None
    ]


def studied(events: Events, table: str) -> Rows:
    """The rows of one table of the lesson's study; none if it is not done."""
    for event in events:
        if event["kind"] == STUDIED:
            return list(event["tables"].get(table) or ())
    return []


def score(event: Mapping[str, Any], name: str) -> float | None:
    """A number of a measured event; None if it cannot be compared."""
    value = (event.get("scores") or {}).get(name)
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def interval(event: Mapping[str, Any], name: str) -> Interval | None:
    """A score with its 95 % interval; without one, the value alone."""
    value = score(event, name)
    if value is None:
        return None
    low, high = (event.get("intervals") or {}).get(name) or (value, value)
    return value, value if low is None else low, value if high is None else high


def clearly(first: Interval, second: Interval) -> int:
    """1 if the first is significantly larger than the second, −1 if smaller, else 0.

    Their difference against its 95 % interval, as if they were independent, from the half widths of both intervals.
    """
    difference = first[0] - second[0]
    spread = math.hypot((first[2] - first[1]) / 2, (second[2] - second[1]) / 2)
    return 0 if abs(difference) <= max(spread, 1e-12) else (1 if difference > 0 else -1)


def crossing(points: Iterable[tuple[float, float | None]], level: float) -> float | None:
    """Where the values first fall below `level`, by linear interpolation; None if they never do.

    >>> crossing([(0, 1.0), (100, 0.5), (200, 0.1)], 0.3)
    150.0
    """
    before: tuple[float, float] | None = None
    for x, y in points:
        if y is None:
            continue
        if y < level:
            if before is None or before[1] <= y:
                return float(x)
            return before[0] + (x - before[0]) * (before[1] - level) / (before[1] - y)
        before = (x, y)
    return None


# -- words


def percent(share: float | None) -> str:
    """A share in per cent, with one more digit near 0 and near 100.

    >>> [percent(share) for share in (None, 1, 0.9999, 0.995, 0.544, 0.004, 0)]
    ['–', '100 %', 'more than 99.9 %', '99.5 %', '54 %', '0.4 %', '0 %']
    """
    if share is None:
        return "–"
    value = 100 * share
    if 0 < value < 0.05 or 99.95 <= value < 100:
        return "less than 0.1 %" if value < 50 else "more than 99.9 %"
    return f"{value:.1f} %" if 0 < value < 1 or 99 < value < 100 else f"{value:.0f} %"


def points(share: float) -> str:
    """A difference of two shares.

    >>> points(0.034), points(-0.1)
    ('3.4 points', '10 points')
    """
    value = abs(100 * share)
    return f"{value:.1f} points" if value < 9.95 else f"{value:.0f} points"


def short(value: float) -> str:
    """A number with three significant digits.

    >>> [short(value) for value in (1.1284, 0.04567, 1234.5, 0)]
    ['1.13', '0.0457', '1,234', '0']
    """
    return f"{value:,.0f}" if abs(value) >= 100 or value == 0 else f"{value:.3g}"


def listed(names: Sequence[str]) -> str:
    """Names in a sentence.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
