"""Panels: their texts, the columns of their tables, and how a run's events become rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from core.charts.grammar import Plot
from core.charts.select import Data
from core.charts.table import Block, Column, joined, unpacked

Event = Mapping[str, Any]
SINGLE = (
    "single edits: every round is edited on the unedited model, its facts are asked in its own state, and all else is"
    " that of the round shown alone"
)


@dataclass(frozen=True, kw_only=True)
class Start:
    """The content of a panel before the first round of a run: blocks of its tables; columns that only this run has,
    by table; an addition to its protocol; the reason if there is nothing to draw; and data for its own controls."""

    blocks: Sequence[Block] = ()
    columns: Mapping[str, Sequence[Column]] = field(default_factory=dict)
    protocol: str = ""
    lacking: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; what is empty is left out."""
        columns = {table: [column.as_dict() for column in own] for table, own in self.columns.items()}
        values = {"blocks": list(self.blocks), "columns": columns, "protocol": self.protocol, "lacking": self.lacking}
        return {name: value for name, value in values.items() if value} | dict(self.more)


def lacks(what: str) -> Callable[[Event], Start]:
    """A `Panel.start` that says why a run measures nothing of this kind ("weights", "states")."""
    return lambda event: Start(lacking=(event.get("lacking") or {}).get(what) or "")


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One plot with its explanation, and the tables that it draws.

    `place` orders the panels of a page. `protocol` says how the numbers were measured; `explanation` is two sentences
    of HTML, `equation` MathML; `promise` is shown until there is a plot. `columns` are those of each table. `rows`
    turns a measured event into blocks, without its lane and round, which all have; an empty list: nothing to draw.
    `start` does the same with the started event. Both are small (a few KB a round for all panels). `wide` spans both
    columns; `requests` are what its controls ask of the page.
    """

    key: str
    place: int
    title: str
    protocol: str
    explanation: str
    equation: str
    promise: str
    plot: Plot
    columns: Mapping[str, Sequence[Column]]
    rows: Callable[[Event], list[Block]]
    start: Callable[[Event], Start] = lambda event: Start()
    wide: bool = False
    requests: tuple[str, ...] = ()

    @property
    def snapshot(self) -> bool:
        """Whether its rows are large and drawn one round at a time: they are thinned out when a long run is opened
        again."""
        return any(chart.at_round for chart in self.plot.charts)

    def begun(self, event: Event) -> Start:
        """What is drawn before the first round; its protocol says if rounds were edited each by itself."""
        begun = self.start(event)
        if event.get("protocol") != "single":
            return begun
        return replace(begun, protocol="; ".join(filter(None, [begun.protocol, SINGLE])))

    def row(self, event: Event) -> dict[str, Any] | None:
        """What is sent to a page for a measured event; None if there is nothing to draw."""
        blocks = self.rows(event)
        return {"lane": event["lane"], "round": event["round"], "blocks": blocks} if blocks else None


@dataclass(frozen=True)
class Filled:
    """A panel's tables with the rows of a run; the protocol of its numbers, and the reason if there are none."""

    data: Data
    protocol: str = ""
    lacking: str = ""


def filled(panel: Panel, events: Iterable[Event]) -> Filled:
    """The panel's tables for these events (see `core.runs.progress.events.standing`)."""
    begun, parts, lanes = Start(), [], dict[str, None]()
    for event in events:
        if event["kind"] == "started":
            begun, lanes = panel.begun(event), dict.fromkeys(lane["label"] for lane in event["lanes"])
        elif event["kind"] == "measured":
            lanes.setdefault(event["lane"])
            parts.append(unpacked(panel.rows(event), lane=event["lane"], round=event["round"]))
    rows = joined([unpacked(begun.blocks), *parts])
    columns = {name: (*own, *begun.columns.get(name, ())) for name, own in panel.columns.items()}
    protocol = "; ".join(filter(None, [panel.protocol, begun.protocol]))
    return Filled(Data(rows, columns, tuple(lanes)), protocol, begun.lacking)
