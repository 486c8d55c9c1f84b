"""The part of a measurement inside the edited layers: spectra, similarity and R_k."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from core.measures.config import MeasureConfig
from core.measures.inside import drift
from core.measures.inside.probe_states import Probe
from core.measures.inside.similarity import binned, compare
from core.measures.inside.spectrum import Reference, curve, thin
from core.measures.measurement import Measurement
from core.measures.session.moment import Weights
from core.measures.session.steps import Steps
from core.models.language_model import LanguageModel
from core.models.worn import extras_of

TOP = 64  # of the dominant singular vectors that are drawn


@dataclass(frozen=True)
class InsideMeasures:
    """Compares the edited layers with `references` (W0), and their states with those of `probe` (or gives the reason
    if there is none)."""

    lm: LanguageModel
    config: MeasureConfig
    references: Mapping[int, Reference]
    probe: Probe | str | None

    def measure(
        self, result: Measurement, weights: Weights, layers: Sequence[int], share: tuple[float, str], step: Steps
    ) -> None:
        """Add spectra, similarity and R_k of the lane's layers; `share` is τ, with its definition."""
        tau, by = share
        if not layers:
            return  # the lane changes what the model reads: neither weights nor states
        states = self.probe.read(weights, layers, step.beat) if isinstance(self.probe, Probe) else {}
        note = self.probe.note() if isinstance(self.probe, Probe) else self.probe
        if note:
            result.notes.append(note)
        if self.weightless(weights, layers):
            self._drift_alone(result, layers, states)
            return
        for done, layer in enumerate(sorted(layers)):
            step.report("inside", done, len(layers))
            weight = weights.get(layer, self.references[layer].weight)
            if not bool(torch.isfinite(weight).all()):
                result.notes.append(f"layer {layer} holds numbers that are not finite; nothing inside it was measured")
                continue
            similarity = compare(self.references[layer], weight, tau, self.config.top_rank == "recomputed", by=by)
            row: dict[str, Any] = {"layer": layer} | similarity.row
            if math.isinf(row["condition"]):
                result.notes.append(
                    f"layer {layer}: κ₂ is infinite, its smallest singular value is no more than round-off"
                )
            result.spectra.append({"layer": layer, "k": similarity.row["dominant_rank"]} | curve(similarity.sigma))
            result.similarity.append(
                _similarity_item(layer, int(similarity.row["k"]), similarity.right, similarity.left)
            )
            result.layers.append(row | self._drift(result, layer, states))

    def weightless(self, weights: Weights, layers: Sequence[int]) -> bool:
        """Whether what is worn acts by extras alone: then measures of these layers' weights are undefined."""
        originals = (self.references[layer].weight for layer in layers)
        worn = (weights.get(layer) for layer in layers)
        same = (w is None or torch.equal(w, w0) for w, w0 in zip(worn, originals, strict=True))
        return bool(extras_of(weights)) and all(same)

    def _drift_alone(self, result: Measurement, layers: Sequence[int], states: Mapping[int, Tensor]) -> None:
        for layer in sorted(layers):
            if row := self._drift(result, layer, states):
                result.layers.append({"layer": layer} | row)

    def _drift(self, result: Measurement, layer: int, states: Mapping[int, Tensor]) -> dict[str, Any]:
        """Add R_k of a layer; returns its summary."""
        if layer not in states or not isinstance(self.probe, Probe):
            return {}
        values = self.probe.r_k(layer, states[layer])
        result.drift.append({"layer": layer} | drift.points(values))
        return drift.summary(values) | {"rk_null_directions": self.lm.d_model - len(values)}


def _similarity_item(layer: int, k: int, right: Tensor, left: Tensor) -> dict[str, Any]:
    """The data for the similarity plots of one layer."""
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
