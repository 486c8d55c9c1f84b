"""Measuring a run: built once, then asked after every round of every lane.

All that concerns the base model alone (decompositions of W0, hidden states of the probe texts, the base model's words,
the tasks' requests) is computed once. A measurement depends on nothing but its arguments: a resumed run measures the
same numbers as one never stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.editing.linalg.dominance import TAU
from core.errors import UserError
from core.facts.fact import Fact
from core.measures.config import MeasureConfig
from core.measures.inside import drift
from core.measures.inside.lower import LowerLayers
from core.measures.inside.probe_states import MapPanel, Probe
from core.measures.inside.similarity import binned, compare
from core.measures.inside.spectrum import Reference, curve, thin
from core.measures.measurement import Measurement, rounded
from core.measures.outside import scores
from core.measures.outside.locality import Locality
from core.measures.outside.perplexity import perplexity
from core.measures.outside.tasks import Tasks
from core.measures.outside.texts import NO_PROSE, Texts, texts_for
from core.measures.outside.words import Words
from core.models.language_model import LanguageModel

Weights = Mapping[int, Tensor]
Beat = Callable[[], None]
Progress = Callable[[str, int, int], None]  # phase (scores, tasks, inside, maps), done, total

TOP = 64  # of the dominant singular vectors that are drawn
WHEN = {"efficacy": "efficacy_when_edited", "efficacy_exact": "efficacy_exact_when_edited"}
WHEN_EDITED = 50  # facts of a round that are scored right after it for `efficacy_when_edited`


@dataclass
class MeasureSession:
    """Measures the states of `lm` that a run makes.

    `facts` are those to edit, in the run's order; `unedited` those that no edit touches; `layers` all layers that any
    lane edits; `assets` the folder that holds `pocket/`; `texts` what R_k and the perplexity are read on, as
    `config.texts` says. Raises `UserError` for tasks or texts that cannot be had.
    """

    lm: LanguageModel
    facts: Sequence[Fact]
    unedited: Sequence[Fact]
    layers: Sequence[int]
    config: MeasureConfig
    assets: Path
    heartbeat: Beat | None = None
    texts: Texts = field(init=False)
    references: dict[int, Reference] = field(init=False, default_factory=dict)
    probe: Probe | str | None = field(init=False, default=None)
    panel: MapPanel | None = field(init=False, default=None)
    tasks: Tasks | None = field(init=False, default=None)
    said: Words = field(init=False)
    lower: LowerLayers = field(init=False)
    locality: Locality = field(init=False)

    def __post_init__(self) -> None:
        self.layers = sorted(set(self.layers))
        self.lower = LowerLayers(self.lm, min(self.layers, default=self.lm.n_layers - 1))
        self.said = Words(self.lm, self.facts, self.config.word_tokens)
        self.locality = Locality(self.lm, self.config.neighbors)
        self.texts = texts_for(self.lm, self.config, self.unedited, self.assets)
        names = task_names(self.config, self.assets)
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
        found = {}
        if isinstance(self.probe, Probe):
            found["drift"] = self.probe.about(self.texts.drift_name)
        if self.config.perplexity and self.texts.prose:
            found["perplexity"] = f"{self.config.perplexity:,} tokens of {self.texts.prose_name}"
        return found

    @property
    def lacking(self) -> dict[str, str]:
        """Why R_k (`drift`) or the `perplexity` is not measured, where they are asked for: a sentence each."""
        found = {"drift": f"{self.probe}."} if isinstance(self.probe, str) else {}
        if self.config.perplexity and not self.texts.prose:
            found["perplexity"] = f"The perplexity is not measured: {NO_PROSE}."
        return found

    @property
    def controls(self) -> list[dict[str, Any]]:
        """R_k without any edit, by layer, to draw beside that of the edits: `null` of a second pass of the unedited
        model, `resampled` where each state is compared with that of another token."""
        return self.probe.controls() if isinstance(self.probe, Probe) else []

    def baseline(
        self, tau: float | None = None, heartbeat: Beat | None = None, progress: Progress | None = None
    ) -> Measurement:
        """Round 0: the unedited model, on the facts that are to be edited."""
        return self.measure({}, (), (), 0, tau, heartbeat=heartbeat, progress=progress)

    def measure(
        self,
        weights: Weights,
        edited: Sequence[int],
        just: Sequence[int],
        round: int,
        tau: float | None = None,
        layers: Sequence[int] | None = None,
        previous: Mapping[str, Any] | None = None,
        final: bool = False,
        heartbeat: Beat | None = None,
        progress: Progress | None = None,
        by: str = "energy",
    ) -> Measurement:
        """Measure the model that wears `weights`, after `round` rounds.

        `edited`: indices of the facts edited so far, in their order; `just`: those edited since the last measurement;
        `tau`: the guard's, a share of Σσ or, `by` "count", of the number of σ; `layers`: those of the lane; `previous`:
        `scores` of the lane's last measurement, which carries `efficacy_when_edited` on (rounded or not); `final`:
        after the last round more is measured. `heartbeat`
        is called between pieces and may wear other weights or raise.
        """
        started = time.perf_counter()
        result = Measurement(round)
        step = _Steps(heartbeat, progress, self.lower)
        with self.lower.remembered():
            with self.lm.worn(weights):
                self._outside(result, edited, just, previous, final, step)
            if self.references:
                self._inside(result, weights, self.layers if layers is None else layers, (tau or TAU, by), step)
            if self.panel:
                self._maps(result, weights, edited, final, step)
        result.words = self.words(weights, self._shown(just), step.beat)
        result.probes = self.said.after(weights, self.config.probes, step.beat)
        result.scores["measure_seconds"] = time.perf_counter() - started - step.waited
        return result

    def words(self, weights: Weights, indices: Sequence[int], heartbeat: Beat | None = None) -> list[dict[str, Any]]:
        """What the model says after these facts' prompts, before and with `weights`."""
        return self.said.rows(weights, indices, heartbeat)

    def map(self, weights: Weights, edited: Sequence[int], method: str) -> dict[str, Any] | None:
        """A map of representations by "pca", "tsne" or "umap"; None if prompts are too few or states not finite."""
        panel = self.panel or self._panel()
        return rounded(panel.draw(weights, edited, method, self.config.seed), 4) if panel else None

    def _outside(
        self,
        result: Measurement,
        edited: Sequence[int],
        just: Sequence[int],
        previous: Mapping[str, Any] | None,
        final: bool,
        step: _Steps,
    ) -> None:
        """Scores of facts, recall of unedited ones, and tasks; the weights are worn."""
        config = self.config
        count = config.final_sample if final else config.sample
        chosen = scores.spread_sample(list(edited) or range(len(self.facts)), count, config.seed)
        fresh = scores.spread_sample(list(just), WHEN_EDITED, config.seed)
        kept = scores.spread_sample(range(len(self.unedited)), config.unedited, config.seed)
        answers = scores.Answers(self.lm, step.beat)
        total = len(chosen) + len(fresh) + len(kept)
        step.report("scores", 0, total)
        rows = scores.score_facts(answers, [self.facts[i] for i in chosen], config.paraphrases, config.neighbors)
        step.report("scores", len(chosen), total)
        new = scores.score_facts(answers, [self.facts[i] for i in fresh], direct_only=True)
        recalled = scores.recall(answers, [self.unedited[i] for i in kept])
        step.report("scores", total, total)
        result.scores |= {"edits": len(edited), "scored": len(chosen)} | scores.summarise(rows)
        result.scores |= _when_edited(scores.summarise(new), len(fresh), len(just), rounded(dict(previous or {})))
        result.scores |= {"unedited_recall": scores.mean(recalled), "unedited_scored": len(kept)}
        stays = self.locality.measure([self.facts[i] for i in chosen], config.seed, step.beat)
        result.scores |= {column: found and found["value"] for column, found in stays.items()}
        if config.perplexity and self.texts.prose:
            result.scores["perplexity"] = perplexity(self.lm, self.texts.prose, config.perplexity, step.beat)
        result.intervals = scores.intervals(rows, config.seed)
        result.intervals |= {column: [found["low"], found["high"]] for column, found in stays.items() if found}
        if recalled:
            result.intervals["unedited_recall"] = list(scores.bootstrap(recalled, config.seed))
        if answers.not_numbers:
            result.notes.append(f"{answers.not_numbers} answers had no finite probability (NaN) and count as wrong")
        found = self.tasks.evaluate(step.beat) if self.tasks else {}
        result.scores["task_mean"] = self.tasks.mean(found) if self.tasks else None
        result.scores |= {f"task_{name}": value for name, value in found.items()}
        step.report("tasks", len(found), len(found))

    def _inside(
        self, result: Measurement, weights: Weights, layers: Sequence[int], share: tuple[float, str], step: _Steps
    ) -> None:
        """Spectra, similarity and R_k of the lane's layers; `share`: τ, and what it is a share of."""
        tau, by = share
        states = self.probe.read(weights, layers, step.beat) if isinstance(self.probe, Probe) else {}
        note = self.probe.note() if isinstance(self.probe, Probe) else self.probe
        if note:
            result.notes.append(note)
        for done, layer in enumerate(sorted(layers)):
            step.report("inside", done, len(layers))
            weight = weights.get(layer, self.references[layer].weight)
            if not bool(torch.isfinite(weight).all()):
                result.notes.append(f"layer {layer} holds numbers that are not finite; nothing inside it was measured")
                continue
            found = compare(self.references[layer], weight, tau, self.config.top_rank == "recomputed", by=by)
            row: dict[str, Any] = {"layer": layer} | found.row
            if math.isinf(row["condition"]):
                result.notes.append(
                    f"layer {layer}: κ₂ is infinite, its smallest singular value is no more than round-off"
                )
            result.spectra.append({"layer": layer, "k": found.row["dominant_rank"]} | curve(found.sigma))
            result.similarity.append(_similarity_item(layer, found.row["k"], found.right, found.left))
            if layer in states and isinstance(self.probe, Probe):
                values = self.probe.r_k(layer, states[layer])
                row |= drift.summary(values)
                row["rk_null_directions"] = self.lm.d_model - len(values)
                result.drift.append({"layer": layer} | drift.points(values))
            result.layers.append(row)

    def _maps(self, result: Measurement, weights: Weights, edited: Sequence[int], final: bool, step: _Steps) -> None:
        """The live map, and after the last round the other two where the config asks for all."""
        live = self.config.live_map()
        methods = [live, "tsne", "umap"] if final and self.config.maps is True else [live]
        for done, method in enumerate(methods):
            step.report("maps", done, len(methods))
            drawn = self.panel.draw(weights, edited, method, self.config.seed, step.beat)
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
        chosen = scores.spread_sample(range(len(self.facts)), count - aside, seed)
        others = [self.unedited[i] for i in scores.spread_sample(range(len(self.unedited)), aside, seed)]
        facts = {i: self.facts[i] for i in chosen}
        return MapPanel.build(self.lm, max(self.layers), facts, others, self.heartbeat)

    def _shown(self, just: Sequence[int]) -> list[int]:
        """The facts whose words are shown: the first of those just edited, or of the run."""
        return list(just or range(len(self.facts)))[: self.config.words]

    @staticmethod
    def _beat(heartbeat: Beat | None) -> None:
        if heartbeat:
            heartbeat()


@dataclass
class _Steps:
    """Says between pieces that the work goes on, and how far it is."""

    heartbeat: Beat | None
    progress: Progress | None
    lower: LowerLayers
    waited: float = 0.0  # seconds of pauses and of questions answered meanwhile

    def beat(self) -> None:
        if self.heartbeat:
            began = time.perf_counter()
            with self.lower.set_aside():
                self.heartbeat()
            self.waited += time.perf_counter() - began

    def report(self, phase: str, done: int, total: int) -> None:
        self.beat()
        if self.progress:
            self.progress(phase, done, total)


def task_names(config: MeasureConfig, assets: Path) -> list[str]:
    """The tasks of a spec; true means the embedded world's. Raises `UserError` where these were not made."""
    if isinstance(config.tasks, list):
        return config.tasks
    folder = assets / "pocket" / "tasks"
    if config.tasks and not folder.is_dir():
        raise UserError(f"{folder}: missing; make it with: python -m core pocket build, or set measure.tasks: false")
    return [str(folder)] if config.tasks else []


def _when_edited(
    new: Mapping[str, float | None], scored: int, edits: int, previous: Mapping[str, Any]
) -> dict[str, float | int | None]:
    """`efficacy_when_edited` over all facts so far, each as it was right after its edit.

    The mean so far stands for `scored_when_edited` facts; the new round's (a sample of `scored`) for all its `edits`.
    """
    before = previous.get("scored_when_edited") or 0
    row: dict[str, float | int | None] = {"scored_when_edited": before + edits}
    for column in ("efficacy", "efficacy_exact"):
        name = (
            column.replace("efficacy", "efficacy_when_edited") if column == "efficacy" else "efficacy_exact_when_edited"
        )
        old, now = previous.get(name), new[column]
        if old is None or now is None or not scored:
            row[name] = old if now is None else now
        else:
            row[name] = (old * before + now * edits) / (before + edits)
    return row


def _similarity_item(layer: int, k: int, right: Tensor, left: Tensor) -> dict[str, Any]:
    """What the similarity plots of one layer need."""
    first_right, first_left = binned(right[0]), binned(left[0])
    shown = thin(k, TOP)
    return {
        "layer": layer,
        "k": k,
        "index_right": first_right["index"],
        "ss_right_first": first_right["value"],
        "index_left": first_left["index"],
        "ss_left_first": first_left["value"],
        "index_max": shown,
        "ss_right_max": right.amax(1)[shown].tolist(),
        "ss_left_max": left.amax(1)[shown].tolist(),
    }
