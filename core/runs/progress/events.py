"""The events of a run: the same for the command line, the store, the tables and the page.

An event is a small frozen dataclass, stored as a dictionary with its `kind` first. All values are JSON; numbers that
JSON cannot represent (NaN, ±infinity) are stored as null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from core.errors import clipped

STATUSES = ("queued", "running", "paused", "stopped", "failed", "done")
OF_RUNS = ("loading", "statistics", "contexts", "training", "values", "layers", "scores", "tasks", "inside", "maps")
PHASES = (*OF_RUNS, "study", "packing")
SEQUENTIAL, SINGLE = "sequential", "single"  # protocols: a round is edited on the round before it, or by itself


@dataclass(frozen=True, kw_only=True)
class Event:
    """The base class of events: a kind, and a dictionary form."""

    kind: ClassVar[str] = ""

    def as_dict(self) -> dict[str, Any]:
        """The event as stored: JSON types only, its message of bounded length."""
        values = {entry.name: plain(getattr(self, entry.name)) for entry in fields(self)}
        return {"kind": self.kind} | values | ({"message": clipped(values["message"])} if "message" in values else {})


@dataclass(frozen=True, kw_only=True)
class Started(Event):
    """The start of a run. It comes again whenever lanes were added; the last one then replaces the first.

    `lanes`: `{"label", "recipe", "from"}` each; `from` is None, or `{"lane", "round"}` for a branch; `"without"` lists
    facts that are left out. `layers`: the edited layers by lane label (a branch also has those of its ancestors).
    `spectra`: per edited layer the singular values of W0 (at most 200 points: `index`, `sigma`, `cumulative` energy,
    `total_rank`). `tau_k`: the number of directions that hold a share τ of the energy, by τ and layer. `lane_k`: the
    number of directions that are dominant for a lane's own guard, by label and layer, for lanes whose guard has a τ.
    `reads`: the texts that R_k (`drift`) and the `perplexity` are measured on; `lacking`: why one of them is not
    measured, or why in no lane anything about "weights" or "states" is. `statistics`: the digest of each layer's
    statistics. `controls`: R_k without any edit
    (`core.measures.session.MeasureSession.controls`). `tasks`: the task settings behind each column
    (`core.measures.outside.tasks.Tasks.info`). `seconds`: the time of preparation by phase (facts, model, statistics,
    contexts, measures), which is charged to no lane. `protocol`: "sequential", or "single", where every round begins
    with the unedited model. `chosen`: which candidates the facts are, where the model was asked
    (`core.facts.source.FactSet`).
    """

    kind: ClassVar[str] = "started"
    lanes: list[dict[str, Any]]
    rounds: int
    facts: int
    layers: dict[str, list[int]]
    model: dict[str, Any]
    versions: dict[str, str]
    spectra: list[dict[str, Any]] = field(default_factory=list)
    tau_k: dict[str, dict[str, int]] = field(default_factory=dict)
    reads: dict[str, str] = field(default_factory=dict)
    lacking: dict[str, str] = field(default_factory=dict)
    statistics: dict[str, str] = field(default_factory=dict)
    controls: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    lane_k: dict[str, dict[str, int]] = field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    protocol: str = "sequential"
    chosen: list[int] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Progress(Event):
    """The progress of a run. Only the latest event is stored.

    `done` of `total` in the units of the phase (tokens of statistics, steps of a run). `eta_seconds` is estimated from
    measured times, None until there are any. `run_done` and `run_total` count lanes × rounds.
    """

    kind: ClassVar[str] = "progress"
    phase: str
    lane: str | None = None
    round: int | None = None
    done: int | float = 0
    total: int | float = 0
    eta_seconds: int | float | None = None
    message: str = ""
    run_done: int = 0
    run_total: int = 0


@dataclass(frozen=True, kw_only=True)
class Edited(Event):
    """One lane was edited in one round. `facts` are indices from 0. `seconds` by phase (`core.editing.stopwatch`) add
    up to their `total`. `hash` is by layer, and under "memory" that of what is worn besides matrices. `values` are
    means over facts of the value optimisation. `factor` is the solution of a matched shrinkage. `notes` are details
    from the method (the size of a null space, a measured λ, a fallback)."""

    kind: ClassVar[str] = "edited"
    lane: str
    round: int
    facts: list[int]
    seconds: dict[str, float | None]
    layers: list[dict[str, Any]]
    hash: dict[str, str]
    values: dict[str, float | None] = field(default_factory=dict)
    factor: float | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Measured(Event):
    """One lane was measured after one round; round 0 is the unedited model, in every lane.

    `scores` and `layers` are the columns of the tables, `intervals` 95 % intervals of scores. `notes` says what was not
    measured, and why. `probes` are the model's continuations of the prompts of `measure.probes`: `{"prompt", "text"}`.
    """

    kind: ClassVar[str] = "measured"
    lane: str
    round: int
    scores: dict[str, Any]
    layers: list[dict[str, Any]] = field(default_factory=list)
    spectra: list[dict[str, Any]] = field(default_factory=list)
    similarity: list[dict[str, Any]] = field(default_factory=list)
    drift: list[dict[str, Any]] = field(default_factory=list)
    words: list[dict[str, Any]] = field(default_factory=list)
    probes: list[dict[str, str]] = field(default_factory=list)
    map: dict[str, Any] | None = None
    more_maps: list[dict[str, Any]] = field(default_factory=list)
    intervals: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Warned(Event):
    """A message for the user. `level` is info, warn or error; an error ends its lane, not the run. `about` is the key
    of messages that occur only once per lane, or, without a lane, once per run."""

    kind: ClassVar[str] = "warned"
    message: str
    level: str = "warn"
    lane: str | None = None
    round: int | None = None
    about: str = ""


@dataclass(frozen=True, kw_only=True)
class Undone(Event):
    """The run was taken back to the end of round `to`: earlier events of later rounds are revoked."""

    kind: ClassVar[str] = "undone"
    to: int


@dataclass(frozen=True, kw_only=True)
class Finished(Event):
    """The end of a run, unless it is resumed: `status` is done, stopped, failed or paused."""

    kind: ClassVar[str] = "finished"
    status: str
    message: str = ""


KINDS: dict[str, type[Event]] = {
    event.kind: event for event in (Started, Progress, Edited, Measured, Warned, Undone, Finished)
}


def from_dict(data: Mapping[str, Any]) -> Event:
    """The inverse of `Event.as_dict`. Unknown fields, of a later version, are ignored. Raises KeyError for an unknown
    kind."""
    kind = KINDS[data["kind"]]
    known = {entry.name for entry in fields(kind)}
    return kind(**{name: value for name, value in data.items() if name in known})


def standing(events: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The events (as stored) that are still valid, in order. Events of rounds that were undone later are left out, and
    the last `started` event replaces the first.

    The state of a run and its tables are computed from these.
    """
    left: list[Mapping[str, Any]] = []
    for event in events:
        if event["kind"] == "undone":
            left = [earlier for earlier in left if (earlier.get("round") or 0) <= event["to"]]
        if event["kind"] == "started" and any(earlier["kind"] == "started" for earlier in left):
            left = [event if earlier["kind"] == "started" else earlier for earlier in left]
        else:
            left.append(event)
    return left


def to_json(value: Event | Mapping[str, Any]) -> str:
    """One line of strict JSON (no NaN), in the order of the fields."""
    data = value.as_dict() if isinstance(value, Event) else plain(value)
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def plain(value: Any) -> Any:
    """The value in JSON types: tensors and arrays of one number become numbers, tuples lists, NaN null."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy and torch, without importing them
        return plain(value.tolist())
    return str(value)
