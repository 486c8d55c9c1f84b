"""Measurements of a run: a session is built once, and measures after every round of every lane.

Everything that concerns the base model alone (decompositions of W0, hidden states of the probe texts, the base model's
continuations, the tasks' requests) is computed once. A measurement depends only on its arguments: a resumed run
measures the same numbers as one that was never stopped.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.facts.fact import Fact
from core.measures.config import MeasureConfig
from core.measures.inside.lower_layers import LowerLayers
from core.measures.inside.probe_states import MapPanel, Probe
from core.measures.inside.spectrum import Reference
from core.measures.measurement import Measurement, rounded
from core.measures.outside.free_answers import FreeAnswers
from core.measures.outside.judge import Judge
from core.measures.outside.locality import Locality
from core.measures.outside.scores import spread_sample
from core.measures.outside.tasks import Tasks, own_tasks
from core.measures.outside.texts import NO_PROSE, Texts, Write, texts_for
from core.measures.outside.words import Words
from core.measures.session.inside import InsideMeasures
from core.measures.session.moment import Moment, Weights
from core.measures.session.outside import OutsideMeasures
from core.measures.session.steps import Beat, Progress, Steps
from core.models.language_model import LanguageModel


@dataclass
class MeasureSession:
    """Measures the states of `lm` that a run makes.

    `facts` are those to edit, in the run's order; `unedited` those that no edit touches; `layers` all layers that any
    lane edits; `assets` the folder that holds `pocket/`; `texts` what R_k and the perplexity are read on, as
    `config.texts` says; `write` has the unedited model write them where none are named. Raises `UserError` for tasks or
    texts that cannot be had.
    """

    lm: LanguageModel
    facts: Sequence[Fact]
    unedited: Sequence[Fact]
    layers: Sequence[int]
    config: MeasureConfig
    assets: Path
    heartbeat: Beat | None = None
    write: Write | None = None
    texts: Texts = field(init=False)
    references: dict[int, Reference] = field(init=False, default_factory=dict)
    probe: Probe | str | None = field(init=False, default=None)
    panel: MapPanel | None = field(init=False, default=None)
    tasks: Tasks | None = field(init=False, default=None)
    said: Words = field(init=False)
    lower: LowerLayers = field(init=False)
    locality: Locality = field(init=False)
    free: FreeAnswers | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.layers = sorted(set(self.layers))
        self.lower = LowerLayers(self.lm, min(self.layers, default=self.lm.n_layers - 1))
        self.said = Words(self.lm, self.facts, self.config.word_tokens)
        self.locality = Locality(self.lm, self.config.neighbors)
        if self.config.generated != 0:
            named = self.config.judge
            judge = Judge(named, str(self.lm.device), self.assets) if named else None
            self.free = FreeAnswers(self.lm, self.config.answer_tokens, judge)
        self.texts = texts_for(self.lm, self.config, self.unedited, self.assets, self.write)
        names = task_names(self.config, self.lm, self.assets)
        if names:
            self.tasks = Tasks.build(self.lm, names, self.config.task_limit, self.config.seed, self.heartbeat)
        self._beat(self.heartbeat)
        if self.config.inside and self.layers:
            for layer in self.layers:
                self.references[layer] = Reference.of(layer, self.lm.original(layer))
                self._beat(self.heartbeat)
            rows = self.config.rows_for(self.lm.d_model)
            texts = self.texts.drift
            self.probe = Probe.build(self.lm, self.layers, texts, rows, self.config.seed, self.heartbeat)
            self._beat(self.heartbeat)
        if self.config.maps and self.layers:
            self.panel = self._panel()

    @property
    def versions(self) -> dict[str, Any]:
        """What the tasks' numbers rest on: the harness's version, and per task its version, metric, items, chance."""
        return {"lm_eval": self.tasks.harness_version, "tasks": self.tasks.info} if self.tasks else {}

    @property
    def reads(self) -> dict[str, str]:
        """What R_k (`drift`) and the `perplexity` are read on; nothing of what is not measured."""
        reads = {}
        if isinstance(self.probe, Probe):
            reads["drift"] = self.probe.about(self.texts.drift_name)
        if self.config.perplexity and self.texts.prose:
            reads["perplexity"] = f"{self.config.perplexity:,} tokens of {self.texts.prose_name}"
        return reads

    @property
    def lacking(self) -> dict[str, str]:
        """Why R_k (`drift`) or the `perplexity` is not measured, where they are asked for: a sentence each."""
        lacking = {"drift": f"{self.probe}."} if isinstance(self.probe, str) else {}
        if self.config.perplexity and not self.texts.prose:
            lacking["perplexity"] = f"The perplexity is not measured: {NO_PROSE}."
        return lacking

    @property
    def controls(self) -> list[dict[str, Any]]:
        """R_k without any edit, by layer, to draw beside that of the edits: `null` of a second pass of the unedited
        model, `resampled` where each state is compared with that of another token."""
        return self.probe.controls() if isinstance(self.probe, Probe) else []

    def baseline(
        self, tau: float | None = None, heartbeat: Beat | None = None, progress: Progress | None = None
    ) -> Measurement:
        """Round 0: the unedited model, on the facts that are to be edited."""
        return self.measure(Moment({}, (), (), 0, tau), heartbeat, progress)

    def measure(self, moment: Moment, heartbeat: Beat | None = None, progress: Progress | None = None) -> Measurement:
        """Measure a lane after a round. `heartbeat` is called between pieces; it may wear other weights, or raise."""
        started = time.perf_counter()
        weights, result = moment.weights, Measurement(moment.round)
        step = Steps(heartbeat, progress, self.lower)
        outside = OutsideMeasures(
            self.lm, self.facts, self.unedited, self.config, self.texts, self.tasks, self.locality, self.free
        )
        with self.lower.remembered():
            with self.lm.worn(weights):
                outside.measure(result, moment, step)
            if self.references:
                inside = InsideMeasures(self.lm, self.config, self.references, self.probe)
                inside.measure(
                    result, weights, self.layers if moment.layers is None else moment.layers, moment.share, step
                )
            if self.panel and (moment.layers is None or moment.layers):
                self._maps(self.panel, result, moment, step)
        result.words = self.words(weights, self._shown(moment.just), step.beat)
        result.probes = self.said.after(weights, self.config.probes, step.beat)
        result.scores["measure_seconds"] = time.perf_counter() - started - step.waited
        return result

    def words(self, weights: Weights, indices: Sequence[int], heartbeat: Beat | None = None) -> list[dict[str, Any]]:
        """What the model says after these facts' prompts, before and with `weights`."""
        return self.said.rows(weights, indices, heartbeat)

    def map(self, weights: Weights, edited: Sequence[int], method: str) -> dict[str, Any] | None:
        """A map of representations by "pca", "tsne" or "umap"; None if prompts are too few or states not finite."""
        panel = (self.panel or self._panel()) if self.layers else None
        return rounded(panel.draw(weights, edited, method, self.config.seed), 4) if panel else None

    def _maps(self, panel: MapPanel, result: Measurement, moment: Moment, step: Steps) -> None:
        """Add the live map, and after the last round the other two where the config asks for all."""
        live = self.config.live_map() or "pca"
        methods = [live, "tsne", "umap"] if moment.final and self.config.maps is True else [live]
        for done, method in enumerate(methods):
            step.report("maps", done, len(methods))
            drawn = panel.draw(moment.weights, moment.edited, method, self.config.seed, step.beat)
            if drawn is None:
                result.notes.append("the edited model's states are not finite; there is no map of them")
                break
            if done:
                result.more_maps.append(drawn)
            else:
                result.map = drawn

    def _panel(self) -> MapPanel | None:
        """Half of the map's prompts about facts to edit, half about unedited ones."""
        count, seed = self.config.map_points, self.config.seed
        aside = min(count // 2, len(self.unedited))
        chosen = spread_sample(range(len(self.facts)), count - aside, seed)
        others = [self.unedited[i] for i in spread_sample(range(len(self.unedited)), aside, seed)]
        facts = {i: self.facts[i] for i in chosen}
        return MapPanel.build(self.lm, max(self.layers), facts, others, self.heartbeat)

    def _shown(self, just: Sequence[int]) -> list[int]:
        """The facts whose words are shown: the first of those just edited, or of the run."""
        return list(just or range(len(self.facts)))[: self.config.words]

    @staticmethod
    def _beat(heartbeat: Beat | None) -> None:
        if heartbeat:
            heartbeat()


def task_names(config: MeasureConfig, lm: LanguageModel, assets: Path) -> list[str]:
    """The tasks of a spec; true means those that the model brings. Raises `UserError` where these were not made."""
    if isinstance(config.tasks, list):
        return config.tasks
    return own_tasks(lm, assets) if config.tasks else []
