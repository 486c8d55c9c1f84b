"""The engine: for every round and lane it edits, commits, measures, commits. Spec and seed determine the result.

The caller commits each event before it requests the next one. Everything follows from the spec and the committed
events, so an interrupted run continues from its last committed step to the same numbers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import torch

from core.editing.deltas.ledger import Ledger
from core.editing.failure import EditFailure
from core.editing.lane.method import Recipe
from core.editing.rounds.edit_round import edit_round
from core.editing.rounds.effect import NONE, NOT_GUARDED, not_guarded, silent
from core.editing.rounds.matched_shrinkage import exact
from core.editing.stopwatch import charged
from core.errors import UserError
from core.measures.inside.key_overlap import key_overlap
from core.measures.session.moment import Apart, Moment
from core.runs.engine.cautions import cautions, conditions, elsewhere, flagged
from core.runs.engine.edited import edited
from core.runs.engine.laboratory import Laboratory
from core.runs.engine.run_context import RunContext, prepare, recipe_of, share_of, versions
from core.runs.engine.states import LiveStates
from core.runs.progress.control import Control
from core.runs.progress.eta import RunPace
from core.runs.progress.events import Edited, Event, Measured, Progress, Warned
from core.runs.spec.differences import compared
from core.runs.spec.lane_notes import lane_notes
from core.runs.spec.plan import Past
from core.runs.spec.run_spec import RunSpec
from core.runs.store.folder import RunFolder

BATCH = 64  # facts whose words are generated between two heartbeats, for facts.csv
OTHER_TEXTS = (
    "R_k or the perplexity is measured on other texts than before: its values are not comparable with earlier ones."
)


def run(
    laboratory: Laboratory, spec: RunSpec, folder: RunFolder, committed: Sequence[Mapping[str, Any]], control: Control
) -> Iterator[Event]:
    """All events of a run that come after the `committed` ones.

    Raises `UserError` for a spec that cannot be run (before the first event) and `Interrupted` when `control` says so.
    """
    past = Past(committed)
    context = prepare(laboratory, spec, control, past.started)
    sequence = Sequenced(context, folder, past, control)
    yield from sequence.events()


class Sequenced:
    """A live run: what is committed, and the state of each lane."""

    def __init__(self, context: RunContext, folder: RunFolder, past: Past, control: Control):
        self._context, self._folder, self._past, self._control = context, folder, past, control
        self._ledger = Ledger(folder.ledger)
        self._states = LiveStates(context.lm, self._ledger, context.layers, self._rebuilding, control.heartbeat)
        past.origins = dict(context.origins)
        self._silent: dict[str, str] = {}  # warnings about what the last edit did not do
        self._pace = RunPace(*past.steps_left(context.plan, [recipe.label for recipe in context.recipes]))

    def events(self) -> Iterator[Event]:
        """The events from the first uncommitted step to the end of the run."""
        context, plan = self._context, self._context.plan
        yield from self._begin()
        yield from self._baseline()
        for number in range(1, plan.rounds + 1):
            worked = False
            for recipe in context.recipes:
                for event in self._step(recipe, number):
                    worked = True
                    yield event
            if worked and number < plan.rounds:
                self._control.boundary(round_over=True)
        self._write_facts()

    def _begin(self) -> Iterator[Event]:
        context, started = self._context, self._past.started
        if started is not None and started["model"]["fingerprint"] != context.lm.fingerprint:
            raise UserError(
                f"The model {context.spec.model} is no longer the one that this run began with (its weights"
                " differ): restore the original one, or start a new run."
            )
        for label, (parent, number) in context.origins.items():
            self._ledger.branch(label, parent, number)
        if started is None or [lane["label"] for lane in started["lanes"]] != context.spec.labels():
            self._folder.write_spec({**context.spec.as_dict(), "resolved": context.resolved()})
            event = context.started()
            self._past.start(event.as_dict())
            yield event
        if started is not None:
            yield from self._changed(started)
        known = [lane["label"] for lane in started["lanes"]] if started is not None else []
        of_lanes = lane_notes(context.spec.lanes, {recipe.label: recipe for recipe in context.recipes})
        for level, notes in (("warn", of_lanes), ("info", context.notes)):
            for label, message in notes:
                if label not in known:
                    yield Warned(level=level, lane=label, round=0, message=message)
        if started is None:
            yield from self._opening_warnings()

    def _changed(self, started: Mapping[str, Any]) -> Iterator[Warned]:
        """Warnings of a resumed run about conditions that have changed since it began."""
        lm = self._context.lm
        model = {"device": str(lm.device), "threads": torch.get_num_threads()}
        moved = elsewhere(started, conditions(versions(), model), self._context.digests)
        if moved is not None and (None, moved.about) not in self._past.warned:
            yield moved
        if started.get("reads", self._context.measures.reads) != self._context.measures.reads:
            yield Warned(message=OTHER_TEXTS)

    def _opening_warnings(self) -> Iterator[Warned]:
        """Warnings and notes of a new run, before its first step."""
        context = self._context
        if context.spec.resolved is not None:
            same, message = compared(context.spec.resolved, context.resolved())
            yield Warned(level="info" if same else "warn", round=0, message=message)
        yield from (Warned(round=0, message=message) for message in context.warnings)
        yield from (Warned(level="info", round=0, message=message) for message in context.remarks())
        yield from cautions(context.lm, context.facts.edit, context.plan, self._control.heartbeat)

    def _baseline(self) -> Iterator[Event]:
        """Round 0: measured once, an event for every lane that begins with the unedited model."""
        labels = [label for label in self._context.spec.labels() if label not in self._context.origins]
        missing = [label for label in labels if (label, 0) not in self._past.scores]
        if not missing:
            return
        self._control.boundary()
        measured = self._context.measures.baseline(heartbeat=self._control.heartbeat, progress=self._reporter(None, 0))
        payload = measured.as_dict()
        payload.pop("round")
        for label in missing:
            yield self._remembered(self._unedited(label, payload))

    def _unedited(self, label: str, payload: Mapping[str, Any]) -> Measured:
        """The base model's measurement for one lane: its layers, and k at its τ."""
        recipe = recipe_of(self._context.recipes, label)
        share = share_of(recipe)
        own: dict[str, Any] = dict(payload)
        for part in ("layers", "spectra", "similarity", "drift"):
            own[part] = [row for row in payload[part] if row["layer"] in recipe.layers]
        if not recipe.changes_weights:  # their measures are undefined, not those of the unedited weights
            kept = {"layer", *(name for row in own["layers"] for name in row if name.startswith("rk_"))}
            own["layers"] = [{name: value for name, value in row.items() if name in kept} for row in own["layers"]]
            own["layers"] = [row for row in own["layers"] if len(row) > 1]
            own["spectra"], own["similarity"] = [], []
            own["map"] = own.get("map") if recipe.layers else None
        elif share:
            references = self._context.measures.references
            ranks = {layer: reference.rank_at(**share) for layer, reference in references.items()}
            own["layers"] = [
                row | {name: ranks[row["layer"]] for name in ("dominant_rank", "k") if name in row}
                for row in own["layers"]
            ]
            own["spectra"] = [row | {"k": ranks[row["layer"]]} for row in own["spectra"]]
        return Measured(lane=label, round=0, **own)

    def _step(self, recipe: Recipe, number: int) -> Iterator[Event]:
        """The uncommitted events of one lane's round. A lane ends on an `EditFailure`; the other lanes continue."""
        label, past = recipe.label, self._past
        begins = past.begins(label)
        if label in past.failed or number < begins:
            return
        due = (number == begins or self._context.plan.measured(number)) and (label, number) not in past.scores
        new = number > begins and (label, number) not in past.edited
        try:
            if number == begins and due:
                self._parent_lives(label)
            if new:
                self._control.boundary()
                event = self._edit(recipe, number)
                yield from self._without_effect(recipe, number)  # first: a committed edit is not made again
                yield event
            if due:
                self._control.boundary()
                yield self._measure(recipe, number)
                yield from self._flags(label, number)
        except EditFailure as failure:
            past.failed[label] = number
            self._pace.drop(label)
            yield Warned(level="error", lane=label, round=number, message=f"{failure} This lane ends here.")

    def _without_effect(self, recipe: Recipe, number: int) -> Iterator[Warned]:
        """Warnings about what an edit did not do, each kind once per lane; after the last round also that the lane's
        guards never acted."""
        label, missing_effects = recipe.label, dict(self._silent)
        removed_shares = [share for (lane, _), share in self._past.guarded.items() if lane == label]
        if number == self._context.plan.rounds and recipe.total_guards and max(removed_shares, default=0.0) <= NONE:
            missing_effects[NOT_GUARDED] = not_guarded(recipe)
        for about, message in missing_effects.items():
            if (label, about) not in self._past.warned:
                event = Warned(lane=label, round=number, about=about, message=message)
                self._past.warn(event.as_dict())
                yield event

    def _parent_lives(self, label: str) -> None:
        parent, number = self._past.origins[label]
        ended = self._past.failed.get(parent)
        if ended is not None and ended <= number:
            raise EditFailure(f'The lane "{parent}" that this one branches from ended in round {ended}.')

    def _flags(self, label: str, number: int) -> Iterator[Warned]:
        """Warnings after a lane's measurement. They pause the run if its spec has `pause_on_warning`."""
        flags = list(flagged(self._past, label, number))
        for flag in flags:
            if flag.level == "error":
                raise EditFailure(flag.message)
            yield flag
        if flags and self._context.spec.measure.pause_on_warning:
            self._control.pause(f"Paused: {label}, round {number}: {flags[0].message}")

    def _edit(self, recipe: Recipe, number: int) -> Edited:
        context, label = self._context, recipe.label
        indices = context.plan.edited_in(number, context.left_out[label])
        facts = [context.facts.edit[index] for index in indices]
        self._pace.begin("edit", label)
        self._report("values", label, number, f"{label}, round {number}: editing {len(facts)} facts")
        beat, progress, watch = self._control.heartbeat, self._editing(label, number), context.editing.watch
        with watch.counted() as around:
            with watch.phase("rebuild"):
                state = self._states.after(label, context.plan.base(number))
            with watch.phase("match"):
                matched = self._matched(recipe, number, facts)
            with watch.phase("edit"):
                update = edit_round(context.lm, state, facts, recipe, context.editing, beat, matched, progress)
            overlaps = {}
            if context.plan.measured(number):
                with watch.phase("overlap"):
                    overlaps = {layer: key_overlap(keys, state.history[layer]) for layer, keys in update.keys.items()}
            update = replace(update, alone=context.plan.alone)
            self._silent = silent(recipe, update, state.sums)
            with watch.phase("ledger"):
                self._ledger.append(label, number, update)
                event = edited(recipe, number, indices, update, self._states.add(label, number, update), overlaps)
        around.pop("edit")
        phases = {name: update.seconds.get(name, 0.0) + around.get(name, 0.0) for name in (*update.seconds, *around)}
        event = replace(event, seconds={**phases, "total": sum(phases.values())})
        self._pace.took("edit", label, charged(event.seconds))
        self._past.edit(event.as_dict())
        return event

    def _matched(self, recipe: Recipe, number: int, facts: Sequence[Any]) -> float | None:
        """The score of the matched lane on this round's facts right after its own edit; None without a match."""
        if recipe.match is None or not facts:
            return None
        other = recipe_of(self._context.recipes, recipe.match)
        if other.label in self._past.failed:
            raise EditFailure(f'The lane "{other.label}" that this one is matched to has ended.')
        return exact(self._context.lm, self._states.after(other.label, number), facts, self._control.heartbeat)

    def _measure(self, recipe: Recipe, number: int) -> Measured:
        context, label = self._context, recipe.label
        began = time.perf_counter()
        self._pace.begin("measure", label)
        before, without = self._past.last_measured(label, number), context.left_out[label]
        weights = self._states.after(label, number).worn
        moment = Moment(
            weights,
            context.plan.so_far(number, without),
            context.plan.edited_since(number - 1 if context.plan.alone else before[1], number, without),
            number,
            **share_of(recipe),
            layers=context.layers[label],
            previous=self._past.scores.get(before),
            final=number == context.plan.rounds,
            apart=self._apart(label) if context.plan.alone else None,
        )
        measured = context.measures.measure(moment, self._control.heartbeat, self._reporter(label, number))
        payload = measured.as_dict()
        payload.pop("round")
        payload["scores"] |= self._past.edit_seconds(label, number)
        missed = [index for index in context.plan.edited_since(before[1], number) if index in without]
        missed = missed[: context.spec.measure.words]
        payload["words"] = context.measures.words(weights, missed, self._control.heartbeat) + payload["words"]
        self._pace.took("measure", label, time.perf_counter() - began)
        return self._remembered(Measured(lane=label, round=number, **payload))

    def _apart(self, label: str) -> Apart:
        """A function that gives facts round by round, each round with what the lane wears after it."""

        def parts(facts: Sequence[int]) -> Iterator[tuple[list[int], Mapping[int, torch.Tensor]]]:
            for number, some in groupby(facts, self._context.plan.round_of):
                yield list(some), self._states.after(label, number).worn

        return parts

    def _remembered(self, event: Measured) -> Measured:
        """The event, after its scores were added to the past: later measurements use them."""
        self._past.measure(event.as_dict())
        return event

    def _rebuilding(self, label: str, number: int) -> None:
        self._report("loading", label, number, f"{label}: rebuilding round {number} from the ledger")

    def _write_facts(self) -> None:
        """Write facts.csv at the end of the run: every fact in every lane; no rows without `final_words`."""
        rows: list[dict[str, Any]] = []
        plan = self._context.plan
        for label in self._context.spec.labels() if self._context.spec.measure.final_words else ():
            last = self._past.last_edit(label)
            indices = plan.so_far(last, self._context.left_out[label])
            self._report("scores", label, last, f"{label}: asking for every fact")
            parts = self._apart(label)(indices) if plan.alone else [(indices, self._states.after(label, last).worn)]
            for some, weights in parts:
                rows += self._last_words(label, some, weights)
        self._folder.write_facts(rows)

    def _last_words(
        self, label: str, indices: Sequence[int], weights: Mapping[int, torch.Tensor]
    ) -> Iterator[dict[str, Any]]:
        """The rows of facts.csv for these facts of a lane."""
        facts = self._context.facts.edit
        for start in range(0, len(indices), BATCH):
            some = indices[start : start + BATCH]
            for row in self._context.measures.words(weights, some, self._control.heartbeat):
                fact = facts[row["fact"]]
                place = {"id": fact.id, "subject": fact.subject, "round": self._context.plan.round_of(row["fact"])}
                yield {"lane": label, **row, **place, **({"kind": fact.kind} if fact.kind else {})}

    def _report(self, phase: str, lane: str | None, number: int, message: str, done: int = 0, total: int = 0) -> None:
        edited = len(self._past.edited)
        self._control.report(
            Progress(
                phase=phase,
                lane=lane,
                round=number,
                done=done,
                total=total,
                message=message,
                eta_seconds=self._pace.left(),
                run_done=edited,
                run_total=edited + self._pace.edits_left,
            )
        )

    def _editing(self, lane: str, number: int) -> Callable[[str, int, int], None]:
        """A function that reports the progress of a round's edit. `Control.wants` limits how often it reports."""

        def report(phase: str, done: int, total: int) -> None:
            if self._control.wants(phase, lane, number):
                what = f"step {done} of {total} for the values" if phase == "values" else f"layer {done} of {total}"
                self._report(phase, lane, number, f"{lane}, round {number}: {what}", done, total)

        return report

    def _reporter(self, lane: str | None, number: int) -> Callable[[str, int, int], None]:
        what = f"{lane}, round {number}" if lane else "the unedited model"

        def report(phase: str, done: int, total: int) -> None:
            self._report(phase, lane, number, f"Measuring {what}: {phase}", done, total)

        return report
