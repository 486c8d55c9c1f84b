"""The context of a run: its model, facts, recipes and sessions, prepared before the first step."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from core.editing.lane.method import Recipe
from core.editing.lane.session import EditSession, model_info
from core.editing.recipe import named, prior_usual
from core.editing.settings.defaults import ModelInfo
from core.editing.statistics.second_moment import Gathering
from core.editing.statistics.written import Writing
from core.editing.training.loop import Learning
from core.facts.fact import Fact
from core.facts.source import FactSet, load_facts
from core.measures.config import MeasureConfig
from core.measures.cost.run_estimate import run_estimate, setup_work
from core.measures.inside.spectrum import curve
from core.measures.measurement import DRAWN, rounded
from core.measures.outside.likely import truth_logprobs
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
    seconds: dict[str, float]  # of the preparation, by phase
    notes: list[tuple[str, str]] = field(default_factory=list)  # (lane, note about a setting from a published table)

    @cached_property
    def layers(self) -> dict[str, tuple[int, ...]]:
        """The edited layers of each lane; a branch also has those of its ancestors."""
        lanes, own = {lane["name"]: lane for lane in self.spec.lanes}, {r.label: r.layers for r in self.recipes}
        return {
            label: tuple(sorted({layer for name in (label, *ancestors(label, lanes)) for layer in own[name]}))
            for label in lanes
        }

    @cached_property
    def origins(self) -> dict[str, tuple[str, int]]:
        """(lane, round) that a lane branches from, for those that do."""
        return {lane["name"]: begins for lane in self.spec.lanes if (begins := origin(lane)) is not None}

    @cached_property
    def left_out(self) -> dict[str, frozenset[int]]:
        """The facts that each lane leaves out."""
        return left_out(self.spec.lanes, self.plan.size)

    @property
    def digests(self) -> dict[str, str]:
        """The digest of each layer's statistics."""
        return {str(layer): moment.digest for layer, moment in self.editing.moments.items()}

    def remarks(self) -> list[str]:
        """Notes on the run: which answer is taught, how long measures take, which are not measured, and on tasks."""
        tasks, measures = self.measures.tasks, self.measures
        remarks = [self.facts.taught] if self.facts.taught else []
        remarks += run_estimate(self.lm, len(measures.layers), self.spec.measure)
        return [*remarks, *measures.lacking.values(), *(tasks.remarks if tasks else ())]

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
            model=about_model(lm),
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
            lacking=self.measures.lacking | undefined_for_all(shown),
            statistics=self.digests,
            controls=rounded(self.measures.controls, DRAWN),
            seconds=self.seconds,
            lane_k={
                label: {str(layer): reference.rank_at(**share) for layer, reference in references.items()}
                for label, share in shares.items()
                if share
            },
            tasks=self.measures.versions.get("tasks", {}),
            protocol=self.spec.protocol,
            chosen=list(self.facts.chosen),
        )

    def resolved(self) -> dict[str, Any]:
        """The part `resolved` of `spec.json`: the values of all defaults."""
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
            **({"chosen": event.chosen} if event.chosen else {}),
            "contexts": {recipe.label: self.editing.contexts(recipe.method) for recipe in self.recipes},
            "statistics": {
                str(layer): {"tokens": moment.tokens, "top_share": moment.top_share, "digest": moment.digest}
                for layer, moment in self.editing.moments.items()
            },
        }


def about_model(lm: LanguageModel) -> dict[str, Any]:
    """What events and results say of the model."""
    return {
        "reference": lm.reference,
        "fingerprint": lm.fingerprint,
        "parameters": lm.n_parameters,
        "n_layers": lm.n_layers,
        "d_model": lm.d_model,
        "d_ffn": lm.d_ffn,
        "dtype": str(lm.dtype).removeprefix("torch."),
        "device": str(lm.device),
        "threads": torch.get_num_threads(),  # on a CPU, bits repeat with the same number of them
    }


def prepare(
    laboratory: Laboratory, spec: RunSpec, control: Control, started: Mapping[str, Any] | None = None
) -> RunContext:
    """Load, gather and decompose what the run needs. Raises `UserError` for anything in the spec that does not exist.

    `started` is the event that opened the run, if it is resumed; its lanes keep their recorded recipes.
    """
    seconds: dict[str, float] = {}
    control.report(Progress(phase="loading", message="Reading the facts"))
    with timed(seconds, "facts"):
        facts = load_facts(
            spec.facts, laboratory.assets, partial(likely, laboratory, spec, control), (started or {}).get("chosen", ())
        )
    plan = Plan.of(spec, len(facts.edit))
    check_origins(spec.lanes, plan.rounds)
    check_there(spec.lanes, plan.facts)
    control.report(Progress(phase="loading", message=f"Loading the model {spec.model}"))
    with timed(seconds, "model"):
        lm = laboratory.model(spec, control.converting)
    control.heartbeat()
    info = replace(model_info(lm), facts=data_set(facts))
    before = (spec.resolved or {}).get("lanes")
    requested_lanes = as_asked(spec.lanes, before if isinstance(before, list) else ())
    lanes = as_begun(requested_lanes, started)
    recipes = [recipe_of_lane(lanes[index], info) for index in in_order(spec.lanes)]
    notes = [(lane["name"], note) for lane in lanes if (note := of_data_set(lane, info))]
    notes += [(recipe.label, note) for recipe in recipes if (note := undefined(recipe))]
    layers = sorted({layer for recipe in recipes for layer in recipe.layers})
    for layer in layers:
        lm.original(layer)

    with timed(seconds, "statistics"):
        updated = sorted({layer for recipe in recipes if recipe.changes_weights for layer in recipe.layers})
        editing = laboratory.session(spec, updated, control.heartbeat, gathering(control))
    control.report(Progress(phase="contexts", message="Sampling contexts, preparing the measures"))
    with timed(seconds, "contexts"):
        for recipe in recipes:
            editing.contexts(recipe.method, control.heartbeat)
            recipe.method.prepare(editing, control.heartbeat, gathering(control, "training"))
    announce(lm, len(layers), spec.measure, control)
    with timed(seconds, "measures"):
        measures = MeasureSession(
            lm,
            facts.edit,
            facts.unedited,
            layers,
            spec.measure,
            laboratory.assets,
            heartbeat=control.heartbeat,
            write=laboratory.writer(spec, control.heartbeat, gathering(control)),
        )
    warnings = laboratory.warnings(spec) + facts.warnings
    return RunContext(spec, lm, facts, recipes, editing, measures, plan, warnings, seconds, notes)


def likely(laboratory: Laboratory, spec: RunSpec, control: Control, facts: Sequence[Fact]) -> list[float]:
    """How likely the spec's unedited model finds the truths of facts, as `load_facts` asks."""
    lm = laboratory.model(spec, control.converting)
    control.report(Progress(phase="loading", message=f"Asking {len(facts):,} facts of the unedited model"))
    return truth_logprobs(lm, facts, control.heartbeat)


@contextmanager
def timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    """Record the duration of the `with` block in `seconds`."""
    began = time.perf_counter()
    yield
    seconds[phase] = round(time.perf_counter() - began, 3)


def of_data_set(lane: Mapping[str, Any], info: ModelInfo) -> str:
    """A note if a lane's prior takes its rank from a published table by data set; "" for other lanes."""
    rank, entry = prior_usual(lane, info).get("rank"), named(lane.get("prior") or "full")
    return "" if rank is None or "rank" in entry else f"r₀ = {rank.value:,}: {rank.reason}"


def undefined(recipe: Recipe) -> str:
    """A note on the measures that a lane without change of weights does not have; "" for other lanes."""
    if recipe.changes_weights:
        return ""
    inside = "" if recipe.layers else " It changes what is read, not the states: R_k and maps are undefined too."
    return (
        f"{recipe.method.title} changes no weights: spectra, subspace similarity, ‖ΔW‖ and the energy of updates are"
        f" undefined for this lane, not zero.{inside}"
    )


def undefined_for_all(recipes: Sequence[Recipe]) -> dict[str, str]:
    """Why a run measures no "weights", or neither weights nor "states": a sentence each; none if any lane has them."""
    lacking = {}
    if not any(recipe.changes_weights for recipe in recipes):
        lacking["weights"] = "No lane of this run changes weights: what compares matrices is undefined, not zero."
    if not any(recipe.layers for recipe in recipes):
        lacking["states"] = "The lanes of this run change what the model reads, not its states, which stay as they are."
    return lacking | ({"drift": lacking["states"]} if "states" in lacking else {})


def data_set(facts: FactSet) -> str:
    """The data set of all facts to edit; "" if they are from several data sets, or typed."""
    sources = {fact.source for fact in facts.edit}
    return (sources.pop() or "") if len(sources) == 1 else ""


def announce(lm: LanguageModel, layers: int, config: MeasureConfig, control: Control) -> None:
    """Report how long the measures inside `layers` layers will take, if that is long, before they are prepared."""
    for words in run_estimate(lm, layers, config):
        control.report(Progress(phase="inside", message=words, eta_seconds=setup_work(lm, layers, config).seconds(lm)))


def gathering(control: Control, phase: str = "statistics") -> Callable[[Gathering | Writing | Learning], None]:
    """A function that reports the progress of gathering statistics, of the text for them, and of training."""

    def gathered(state: Gathering | Writing | Learning) -> None:
        fields: dict[str, Any] = {
            "done": state.done,
            "total": state.total,
            "eta_seconds": state.seconds_left,
            "message": state.message,
        }
        control.report(Progress(phase=phase, **fields))

    return gathered


def recipe_of(recipes: list[Recipe], label: str) -> Recipe:
    """The recipe of a lane."""
    return next(recipe for recipe in recipes if recipe.label == label)


def share_of(recipe: Recipe) -> dict[str, Any]:
    """`{"tau", "by"}` of `Recipe.dominance`, as arguments; none without it."""
    return {} if recipe.dominance is None else asdict(recipe.dominance)


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that affect the numbers."""
    by_package = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            by_package[package] = version(package)
        except PackageNotFoundError:
            continue
    return by_package
