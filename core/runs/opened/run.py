"""One opened run: from a run's folder to its lanes, and to the state of a lane at any round.

run = OpenedRun(folder, laboratory)
at = run.lane("MEMIT").at(3)
with at.worn(): ...             # the model as the lane left it after round 3
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

from torch import Tensor

from core.editing.deltas.ledger import Ledger
from core.editing.deltas.states import States
from core.editing.lane.method import Recipe
from core.editing.lane.session import EditSession
from core.editing.lane.state import LaneState, LayerUpdates
from core.editing.recipe import recipe_from_dict
from core.errors import UserError, nearest
from core.facts.source import FactSet, load_facts
from core.models.language_model import LanguageModel
from core.runs.engine.laboratory import Laboratory
from core.runs.engine.states import wearing
from core.runs.progress.control import Control
from core.runs.progress.events import Progress
from core.runs.spec.left_out import left_out
from core.runs.spec.plan import Past, Plan
from core.runs.spec.run_spec import MOST_ROWS, RunSpec
from core.runs.store.folder import RunFolder
from core.runs.store.record import Record

Weights = Mapping[int, Tensor]
FACT_BYTES, EVENT_FACTOR = 4096, 6  # in memory: a fact, about; a byte of events.jsonl once it is parsed


class OpenedRun:
    """A run's folder with the model, facts and states that it was made of.

    Everything is read on first use. Expensive results are cached in `laboratory.recent`, so opening a run again is
    cheap. While the run is running, answers reflect its folder at that moment. Long work reports its progress to
    `control`, which may interrupt it. Without a `laboratory` the run has its own, with statistics in the run's folder.
    """

    def __init__(self, folder: Path, laboratory: Laboratory | None = None, control: Control | None = None):
        self.folder = RunFolder(folder.expanduser().resolve())
        self.laboratory, self.control = laboratory or Laboratory(self.folder.path), control or Control()
        self.ledger = Ledger(self.folder.ledger)

    @property
    def begun(self) -> bool:
        """Whether the run has begun, that is, whether its folder has a spec."""
        return self._written is not None

    @property
    def spec(self) -> RunSpec:
        """The spec with defaults filled in. Raises `UserError` if the run has not begun."""
        return self._needed()[0]

    @property
    def layers(self) -> dict[str, list[int]]:
        """The layers whose weights each lane may change."""
        return self._needed()[1].get("layers") or self.started["layers"]

    @property
    def record(self) -> Record:
        """The committed events with the spec. They are read again when the files have changed."""
        file = self.folder.path / "events.jsonl"
        size = file.stat().st_size if file.exists() else 0
        version = self._version("spec.json"), self._version("events.jsonl")
        key = "record", str(self.folder.path)
        return self._recent.made(key, lambda: Record.read(self.folder.path), version, lambda _: EVENT_FACTOR * size)

    @property
    def started(self) -> Mapping[str, Any]:
        """The event that opened the run."""
        return self.record.started

    @property
    def past(self) -> Past:
        """What has been edited and measured so far."""
        return self.record.past

    @property
    def labels(self) -> list[str]:
        """The lanes that have begun, in order."""
        return list(self.layers)

    @property
    def facts(self) -> FactSet:
        """The facts to edit and the unedited ones."""

        def size(facts: FactSet) -> int:
            return FACT_BYTES * (len(facts.edit) + len(facts.unedited))

        def load() -> FactSet:
            chosen = self.started.get("chosen", ()) if self.spec.facts.rated else ()
            return load_facts(self.spec.facts, self.laboratory.assets, chosen=chosen)

        return self._recent.made(("facts", str(self.folder.path)), load, self._version("spec.json"), size)

    @property
    def plan(self) -> Plan:
        """Which facts are edited in which round."""
        return Plan.of(self.spec, len(self.facts.edit))

    @property
    def lm(self) -> LanguageModel:
        """The model, loaded on first use. Raises `UserError` if its weights differ from those of the run."""
        lm, made = self.laboratory.model(self.spec), self._needed()[1].get("model") or self.started["model"]
        if lm.fingerprint != made["fingerprint"]:
            raise UserError(
                f"The model {self.spec.model} is no longer the one that this run was made with (its weights differ): "
                "put the former one back"
            )
        return lm

    def load(self) -> LanguageModel:
        """The model; reports to `control` before it is loaded."""
        self.control.report(Progress(phase="loading", message=f"Loading the model {self.spec.model}"))
        self.laboratory.model(self.spec, self.control.converting)
        return self.lm

    @property
    def session(self) -> EditSession:
        """What editing has derived from the unedited model so far. It gathers no new statistics."""
        return self.laboratory.session(self.spec, ())

    @property
    def states(self) -> States:
        """The states of all lanes."""
        return States(self.lm, self.ledger, self._recent)

    def lane(self, name: str | None = None) -> OpenedLane:
        """The lane of that label; without a name, the run's only lane. Raises `UserError`."""
        labels = self.labels
        if name is None and len(labels) > 1:
            raise UserError(f"this run has {len(labels)} lanes; name one of them: {', '.join(labels)}")
        label = labels[0] if name is None else name
        if label not in labels:
            raise UserError(f'there is no lane "{label}"; {nearest(label, labels)}')
        return OpenedLane(self, label)

    @property
    def _recent(self) -> Any:
        return self.laboratory.recent

    @property
    def _written(self) -> tuple[RunSpec, dict[str, Any]] | None:
        """The spec in the folder, and the resolved defaults. The file is rewritten when lanes are added."""
        version = self._version("spec.json")

        def read() -> tuple[RunSpec, dict[str, Any]] | None:
            written = self.folder.read_spec()
            if written is None:
                return None
            known = written.pop("resolved", None) or {}
            return RunSpec.from_dict(written, max_facts=MOST_ROWS), known

        return None if version is None else self._recent.made(("spec", str(self.folder.path)), read, version)

    def _needed(self) -> tuple[RunSpec, dict[str, Any]]:
        written = self._written
        if written is None:
            raise UserError("this run has not begun yet; ask again when its first round is being edited")
        return written

    def _version(self, name: str) -> tuple[int, int] | None:
        try:
            about = (self.folder.path / name).stat()
        except FileNotFoundError:
            return None
        return about.st_mtime_ns, about.st_size


@dataclass(frozen=True)
class OpenedLane:
    """One lane of an opened run."""

    run: OpenedRun
    label: str

    @cached_property
    def recipe(self) -> Recipe:
        """The lane's recipe, with every hyperparameter resolved."""
        return recipe_from_dict(self.run.record.recipe(self.label))

    @property
    def layers(self) -> list[int]:
        """The layers whose weights the lane may change."""
        return self.run.layers[self.label]

    @property
    def rounds(self) -> list[int]:
        """The edited rounds, ascending, with those before the lane branched."""
        return self.run.ledger.rounds(self.label)

    @property
    def last(self) -> int:
        """The last edited round; 0 if there is none."""
        return max(self.rounds, default=0)

    @property
    def left_out(self) -> frozenset[int]:
        """The facts that the lane leaves out."""
        spec = self.run.spec
        return left_out(spec.lanes, spec.round_size)[self.label]

    def edited_in(self, round_: int) -> list[int]:
        """The facts that a round edits, as indices into `run.facts.edit`."""
        return self.run.plan.edited_in(round_, self.left_out)

    def edited_by(self, round_: int) -> list[int]:
        """The facts that the state after a round holds."""
        return self.run.plan.edited_by(round_, self.left_out)

    def so_far(self, round_: int) -> list[int]:
        """The facts edited up to the end of a round, whichever state holds them."""
        return self.run.plan.so_far(round_, self.left_out)

    def apart(self, facts: Sequence[int]) -> Iterator[tuple[list[int], Weights]]:
        """Facts round by round, each round with what the lane wears after it."""
        for number, some in groupby(facts, self.run.plan.round_of):
            yield list(some), self.at(number).weights

    def at(self, wanted: int | None = None, without: tuple[int, ...] = (), first: int = 0) -> LaneAt:
        """The lane after a round, by default its last, replayed `without` some rounds. `first` is the smallest round
        allowed; round 0 is the unedited model. Raises `UserError` for a round that has not been edited."""
        last = self.last
        if last < first:
            raise UserError(f"{self.label} has no round yet; ask again when its first one is edited")
        number = last if wanted is None else wanted
        for round_, least in ((number, first), *((left, 0) for left in without)):
            if type(round_) is not int or not least <= round_ <= last:
                raise UserError(f"round {round_} of {self.label} is not edited yet; rounds {first} to {last} are")
        return LaneAt(self, number, without)


@dataclass(frozen=True)
class LaneAt:
    """A lane after a round."""

    lane: OpenedLane
    round: int
    without: tuple[int, ...] = ()

    @property
    def state(self) -> LaneState:
        """W_t, the sum of all updates and the keys of all rounds, per layer. It is a copy, which may be edited."""
        run, lane = self.lane.run, self.lane
        worn = wearing(run.lm, run.spec.lanes) if self.without else None
        return run.states.at(lane.label, self.round, lane.layers, self.without, worn, run.control.heartbeat)

    @property
    def weights(self) -> Weights:
        """What the lane wears: W_t by layer, [d_out, d_in] each, and extras, for `lm.worn`; empty at round 0."""
        return self.state.worn if self.round else {}

    def worn(self) -> AbstractContextManager[None]:
        """The model wears this within the `with` block, and its earlier weights afterwards."""
        return self.lane.run.lm.worn(self.weights)

    @property
    def update(self) -> LayerUpdates:
        """The round's updates before (`raw`) and after the guards, its keys and values."""
        return self.lane.run.ledger.read(self.lane.label, self.round, self.lane.run.lm.device)

    @property
    def before(self) -> LaneAt:
        """The lane in the state that this round edited: after the round before it, or the unedited model."""
        return LaneAt(self.lane, self.lane.run.plan.base(self.round))

    @property
    def event(self) -> Mapping[str, Any] | None:
        """The `edited` event of the round; None if there is none."""
        return self.lane.run.record.edited(self.lane.label, self.round)
