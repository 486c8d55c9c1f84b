"""What a run needs: its model, facts, recipes and sessions, made ready before the first step."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from core.editing.lane.method import Recipe
from core.editing.lane.session import EditSession, model_info
from core.editing.recipe import named, prior_usual
from core.editing.settings.defaults import ModelInfo
from core.editing.statistics.second_moment import Gathering
from core.facts.source import FactSet, load_facts
from core.measures.config import MeasureConfig
from core.measures.cost.run_estimate import run_estimate, setup_work
from core.measures.inside.spectrum import curve
from core.measures.measurement import DRAWN, rounded
from core.measures.session import MeasureSession
from core.models.language_model import LanguageModel
from core.runs.engine.laboratory import Laboratory
from core.runs.progress.control import Control
from core.runs.progress.events import Progress, Started
from core.runs.spec.lanes import ancestors, check_origins, in_order, origin, recipe_of_lane
from core.runs.spec.left_out import check_there, left_out
from core.runs.spec.plan import Plan
from core.runs.spec.recorded import as_asked, as_begun
from core.runs.spec.run_spec import RunSpec

TAUS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)  # whose ranks the page shows beside the slider
PACKAGES = ("torch", "transformers", "safetensors", "numpy", "lm-eval")


@dataclass(frozen=True)
class RunContext:
    """One run's model, facts, recipes (in the order in which they run) and sessions."""

    spec: RunSpec
    lm: LanguageModel
    facts: FactSet
    recipes: list[Recipe]
    editing: EditSession
    measures: MeasureSession
    plan: Plan
    warnings: list[str]
    seconds: dict[str, float]  # that getting ready took, by phase
    notes: list[tuple[str, str]] = field(default_factory=list)  # of lanes: what was taken for them, and why

    @cached_property
    def layers(self) -> dict[str, tuple[int, ...]]:
        """The edited layers of each lane; a branch has those of the lanes that it began with besides its own."""
        lanes, own = {lane["name"]: lane for lane in self.spec.lanes}, {r.label: r.layers for r in self.recipes}
        return {
            label: tuple(sorted({layer for one in (label, *ancestors(label, lanes)) for layer in own[one]}))
            for label in lanes
        }

    @cached_property
    def origins(self) -> dict[str, tuple[str, int]]:
        """(lane, round) that a lane branches from, for those that do."""
        return {lane["name"]: begins for lane in self.spec.lanes if (begins := origin(lane)) is not None}

    @cached_property
    def left_out(self) -> dict[str, frozenset[int]]:
        """The facts that each lane is edited without."""
        return left_out(self.spec.lanes, self.plan.size)

    @property
    def digests(self) -> dict[str, str]:
        """Of each layer's statistics."""
        return {str(layer): moment.digest for layer, moment in self.editing.moments.items()}

    def remarks(self) -> list[str]:
        """What a run says of itself: which answer is taught, how long measures take, what they are, what is lacking."""
        tasks, measures = self.measures.tasks, self.measures
        told = [self.facts.taught] if self.facts.taught else []
        told += run_estimate(self.lm, len(measures.layers), self.spec.measure)
        return [*told, *measures.lacking.values(), *(tasks.remarks if tasks else ())]

    def started(self) -> Started:
        """The event that opens the run."""
        lm, shown = self.lm, [recipe_of(self.recipes, label) for label in self.spec.labels()]
        references = self.measures.references
        shares = {recipe.label: share_of(recipe) for recipe in shown}
        taus = sorted({*TAUS, *(share["tau"] for share in shares.values() if share)})
        begins = {label: {"lane": lane, "round": round_} for label, (lane, round_) in self.origins.items()}
        without = {lane["name"]: lane.get("without") for lane in self.spec.lanes}
        return Started(
            lanes=[
                {"label": recipe.label, "recipe": recipe.as_dict(), "from": begins.get(recipe.label)}
                | ({"without": without[recipe.label]} if without[recipe.label] else {})
                for recipe in shown
            ],
            rounds=self.plan.rounds,
            facts=self.plan.facts,
            layers={label: list(layers) for label, layers in self.layers.items()},
            model={
                "reference": lm.reference,
                "fingerprint": lm.fingerprint,
                "parameters": lm.n_parameters,
                "n_layers": lm.n_layers,
                "d_model": lm.d_model,
                "d_ffn": lm.d_ffn,
                "dtype": str(lm.dtype).removeprefix("torch."),
                "device": str(lm.device),
                "threads": torch.get_num_threads(),  # on a CPU, bits repeat with the same number of them
            },
            versions=versions(),
            spectra=[
                {"layer": layer, "total_rank": reference.spectrum.numerical_rank} | curve(reference.spectrum.sigma)
                for layer, reference in references.items()
            ],
            tau_k={
                str(tau): {str(layer): reference.rank_at(tau) for layer, reference in references.items()}
                for tau in taus
            },
            reads=self.measures.reads,
            lacking=self.measures.lacking,
            statistics=self.digests,
            controls=rounded(self.measures.controls, DRAWN),
            seconds=self.seconds,
            lane_k={
                label: {str(layer): reference.rank_at(**share) for layer, reference in references.items()}
                for label, share in shares.items()
                if share
            },
            tasks=self.measures.versions.get("tasks", {}),
        )

    def resolved(self) -> dict[str, Any]:
        """What `spec.json` holds besides the spec: everything that the defaults stood for."""
        event = self.started()
        return {
            "lanes": [lane["recipe"] for lane in event.lanes],
            "layers": event.layers,
            "rounds": event.rounds,
            "facts": event.facts,
            "model": event.model,
            "versions": event.versions,
            "tasks": self.measures.versions,
            "reads": event.reads,
            "contexts": {recipe.label: self.editing.contexts(recipe.method) for recipe in self.recipes},
            "statistics": {
                str(layer): {"tokens": moment.tokens, "top_share": moment.top_share, "digest": moment.digest}
                for layer, moment in self.editing.moments.items()
            },
        }


def prepare(
    laboratory: Laboratory, spec: RunSpec, control: Control, started: Mapping[str, Any] | None = None
) -> RunContext:
    """Load, gather and decompose what the run needs; raises `UserError` for what the spec asks and is not there.

    `started`: the event that opened the run, where it goes on; its lanes stay what they were.
    """
    seconds: dict[str, float] = {}
    control.report(Progress(phase="loading", message="Reading the facts"))
    with taken(seconds, "facts"):
        facts = load_facts(spec.facts, laboratory.assets)
    plan = Plan(len(facts.edit), spec.round_size, spec.measure.every)
    check_origins(spec.lanes, plan.rounds)
    check_there(spec.lanes, plan.facts)
    control.report(Progress(phase="loading", message=f"Loading the model {spec.model}"))
    with taken(seconds, "model"):
        lm = laboratory.model(spec)
    control.heartbeat()
    info = replace(model_info(lm), facts=data_set(facts))
    before = (spec.resolved or {}).get("lanes")
    asked = as_asked(spec.lanes, before if isinstance(before, list) else ())
    lanes = as_begun(asked, started)
    recipes = [recipe_of_lane(lanes[index], info) for index in in_order(spec.lanes)]
    notes = [(lane["name"], note) for lane in lanes if (note := of_data_set(lane, info))]
    layers = sorted({layer for recipe in recipes for layer in recipe.layers})
    for layer in layers:
        lm.original(layer)

    with taken(seconds, "statistics"):
        editing = laboratory.session(spec, layers, control.heartbeat, gathering(control))
    control.report(Progress(phase="contexts", message="Sampling contexts, preparing the measures"))
    with taken(seconds, "contexts"):
        for recipe in recipes:
            editing.contexts(recipe.method, control.heartbeat)
    announce(lm, len(layers), spec.measure, control)
    with taken(seconds, "measures"):
        measures = MeasureSession(
            lm, facts.edit, facts.unedited, layers, spec.measure, laboratory.assets, heartbeat=control.heartbeat
        )
    warnings = laboratory.warnings(spec) + facts.warnings
    return RunContext(spec, lm, facts, recipes, editing, measures, plan, warnings, seconds, notes)


@contextmanager
def taken(seconds: dict[str, float], phase: str) -> Iterator[None]:
    """Notes how long this took."""
    began = time.perf_counter()
    yield
    seconds[phase] = round(time.perf_counter() - began, 3)


def of_data_set(lane: Mapping[str, Any], info: ModelInfo) -> str:
    """What a lane's prior has of a published table that goes by data set, a sentence; "" of other lanes."""
    rank, entry = prior_usual(lane, info).get("rank"), named(lane.get("prior") or "full")
    return "" if rank is None or "rank" in entry else f"r₀ = {rank.value:,}: {rank.reason}"


def data_set(facts: FactSet) -> str:
    """The data set that all facts to edit are from; "" where they are from several, or typed."""
    sources = {fact.source for fact in facts.edit}
    return (sources.pop() or "") if len(sources) == 1 else ""


def announce(lm: LanguageModel, layers: int, config: MeasureConfig, control: Control) -> None:
    """Say how long the measures inside so many layers will take, before they are prepared, if that is long."""
    for words in run_estimate(lm, layers, config):
        control.report(Progress(phase="inside", message=words, eta_seconds=setup_work(lm, layers, config).seconds(lm)))


def gathering(control: Control) -> Callable[[Gathering], None]:
    """Reports how far the statistics of layers are."""

    def gathered(far: Gathering) -> None:
        told: dict[str, Any] = {
            "done": far.done,
            "total": far.total,
            "eta_seconds": far.seconds_left,
            "message": far.message,
        }
        control.report(Progress(phase="statistics", **told))

    return gathered


def recipe_of(recipes: list[Recipe], label: str) -> Recipe:
    """The recipe of a lane."""
    return next(recipe for recipe in recipes if recipe.label == label)


def share_of(recipe: Recipe) -> dict[str, Any]:
    """`{"tau", "by"}` of `Recipe.dominance`, as arguments; none without it."""
    return {} if recipe.dominance is None else asdict(recipe.dominance)


def versions() -> dict[str, str]:
    """The versions that the numbers rest on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
