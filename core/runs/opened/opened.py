"""A run opened to be asked once more: its record, with the model and facts that it was made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.editing.deltas.ledger import Ledger
from core.editing.lane.method import Recipe
from core.editing.recipe import recipe_from_dict
from core.errors import UserError, nearest
from core.facts.source import FactSet, load_facts
from core.models.language_model import LanguageModel
from core.runs.engine.laboratory import Laboratory
from core.runs.progress.control import Control
from core.runs.progress.events import Progress
from core.runs.spec.left_out import left_out
from core.runs.spec.plan import Plan
from core.runs.store.record import Record


@dataclass(frozen=True)
class Opened:
    """A run's record and ledger, its plan, and what they are about."""

    record: Record
    laboratory: Laboratory
    lm: LanguageModel
    facts: FactSet

    @property
    def ledger(self) -> Ledger:
        """The updates of all lanes."""
        return Ledger(self.record.folder.ledger)

    @property
    def plan(self) -> Plan:
        """Which facts are edited in which round."""
        spec = self.record.spec
        return Plan(len(self.facts.edit), spec.round_size, spec.measure.every)

    def layers(self, lane: str) -> list[int]:
        """The layers that a lane's model differs in."""
        return self.record.started["layers"][lane]

    def left_out(self, lane: str) -> frozenset[int]:
        """The facts that a lane was edited without."""
        return left_out(self.record.spec.lanes, self.plan.size)[lane]

    def recipe(self, lane: str) -> Recipe:
        """What a lane was edited by."""
        return recipe_from_dict(self.record.recipe(lane))


def opened(record: Record, laboratory: Laboratory, control: Control) -> Opened:
    """The run with its model loaded; raises `UserError` if that is no longer the model that it was made with."""
    spec = record.spec
    control.report(Progress(phase="loading", message=f"Loading the model {spec.model}"))
    lm = laboratory.model(spec)
    if lm.fingerprint != record.started["model"]["fingerprint"]:
        raise UserError(
            f"{record.folder.path}: the model {spec.model} is no longer the one that this run was made with"
        )
    return Opened(record, laboratory, lm, load_facts(spec.facts, laboratory.assets))


def asked_for(record: Record, lanes: Sequence[str] | None, rounds: str) -> dict[str, list[int]]:
    """`chosen` of a run's record."""
    labels = [lane["label"] for lane in record.started["lanes"]]
    return chosen(labels, Ledger(record.folder.ledger), lanes, rounds)


def chosen(labels: Sequence[str], ledger: Ledger, asked: Sequence[str] | None, rounds: str) -> dict[str, list[int]]:
    """The rounds asked for, by lane, ascending: of all lanes (`labels`) or those `asked`; "all", "last" or numbers
    with commas. Raises `UserError` for what is not there."""
    for label in asked or ():
        if label not in labels:
            raise UserError(f'there is no lane "{label}"; {nearest(label, labels)}')
    wanted = [label for label in labels if asked is None or label in asked]
    return {label: _rounds(rounds, ledger.rounds(label), label) for label in wanted}


def _rounds(asked: str, there: Sequence[int], lane: str) -> list[int]:
    known = [0, *there]
    if asked == "all":
        return known
    if asked == "last":
        return known[-1:]
    try:
        numbers = sorted({int(part) for part in asked.split(",")})
    except ValueError:
        raise UserError(f'rounds: "{asked}" is neither all, last, nor numbers with commas such as 0,5,10') from None
    missing = [number for number in numbers if number not in known]
    if missing:
        raise UserError(f"rounds: {lane} has rounds 0 to {known[-1]}, not {missing[0]}")
    return numbers
