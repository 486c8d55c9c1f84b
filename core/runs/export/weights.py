"""Weights of a lane after a round: the change as low-rank factors or as a LoRA adapter, or the whole edited model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from core.editing.deltas.factors import module_name, save_factors
from core.editing.deltas.lane_change import change, decomposed, distance, fewest, numerical_rank
from core.editing.deltas.lora import save_lora
from core.editing.lane.state import LaneState, LayerUpdates
from core.editing.linalg.lowrank import LowRank
from core.errors import UserError
from core.models.language_model import LanguageModel
from core.runs.export.options import ExportOptions
from core.runs.opened.run import LaneAt
from core.runs.progress.events import Progress
from core.runs.store.record import public_name

ABOUT = "edit-lab.json"  # in an exported folder: what it is of
ROOM = 1.02  # a model's files are a little larger than its tensors


def export_weights(
    at: LaneAt, kind: str, out: Path, options: ExportOptions, progress: Callable[[Progress], None] | None = None
) -> dict[str, Any]:
    """Write a lane's round ("factors", "lora" or "model") to `out`; returns what is said about it there (`about`)."""
    tell, run = _Telling(at.lane.label, at.round, progress), at.lane.run
    tell("loading", f"Loading the model {run.spec.model}")
    lm = run.lm
    state = LaneState.base(lm, at.lane.layers)
    rounds = _replayed(at, state, tell)
    if kind == "model":
        for _ in rounds:
            pass
        said = about(at, state, [])
        _save_model(lm, state, out, said, tell)
        return said
    exact = change(rounds)
    dtype = lm.master_dtype if kind == "factors" else getattr(torch, options.dtype)
    written: dict[int, LowRank] = {}
    layers = []
    for done, (layer, delta) in enumerate(exact.items()):
        tell("layers", f"Layer {layer}: decomposing its change", done, len(exact))
        found = decomposed(delta)
        written[layer] = fewest(delta, found, dtype, options.rank, options.error)
        layers.append(_layer(lm, state, layer, numerical_rank(found.sigma, lm.master_dtype), written[layer]))
    tell("layers", "Writing the factors", len(exact), len(exact))
    said = about(at, state, layers)
    if kind == "factors":
        save_factors(out, lm, written, said)
    else:
        out.mkdir()
        base = None if public_name(lm.reference) != lm.reference or lm.reference == "pocket" else lm.reference
        save_lora(out, lm, written, base, said)
        _save_about(out, said)
    return said


def about(at: LaneAt, state: LaneState, layers: list[dict[str, Any]]) -> dict[str, Any]:
    """What an export says of itself, in JSON types.

    `base`: the model that it belongs on; `lane`, `recipe`, `round`, `edits`: what was done to it; `same_bits`: whether
    the rebuilt weights are those of the run to the last bit (else they were rebuilt on another kind of device);
    `versions`: of the packages that the run rests on; `layers`: the change of each edited matrix W.

    Of a layer: `module`; `transposed`: stored as [d_in, d_out]; `rank` of the export and `full_rank` of the change;
    `norm` = ‖ΔW‖_F; `error`: relative, ‖ΔW − L Rᵀ‖_F / ‖ΔW‖_F with ΔW = W_t − W_0 as the lane wears it.
    """
    record, event = at.lane.run.record, at.event
    model = record.started["model"]
    assert event is not None
    return {
        "base": {"reference": public_name(at.lane.run.lm.reference)}
        | {name: model[name] for name in ("fingerprint", "dtype", "parameters")},
        "lane": at.lane.label,
        "recipe": record.recipe(at.lane.label),
        "round": at.round,
        "edits": len(at.lane.edited_by(at.round)),
        "same_bits": all(state.digest(int(layer)) == digest for layer, digest in event["hash"].items()),
        "versions": record.started["versions"],
        "layers": layers,
    }


def _replayed(at: LaneAt, state: LaneState, tell: _Telling) -> Iterator[LayerUpdates]:
    """The rounds of a lane up to this one, each applied to `state`; `UserError` where the ledger has lost one."""
    lane, run = at.lane, at.lane.run
    there = lane.rounds
    for number in range(1, at.round + 1):
        if number not in there or run.record.edited(lane.label, number) is None:
            lost = f'round {number} of lane "{lane.label}" is lost'
            raise UserError(f"{run.folder.path}: {lost}; undo to the one before it")
    for number, update in run.ledger.replay(run.lm, lane.label, state, 0, at.round):
        tell("loading", f"{lane.label}: rebuilding round {number} from the ledger", number, at.round)
        yield update


def _layer(lm: LanguageModel, state: LaneState, layer: int, full_rank: int, written: LowRank) -> dict[str, Any]:
    worn = state.weights[layer].double() - lm.original(layer).double()
    return {
        "layer": layer,
        "module": module_name(lm, layer),
        "transposed": lm.anatomy.conv1d,
        "rank": written.columns,
        "full_rank": full_rank,
        "norm": float(torch.linalg.norm(worn)),
        "error": distance(worn, written),
    }


def _save_model(lm: LanguageModel, state: LaneState, out: Path, said: Mapping[str, Any], tell: _Telling) -> None:
    """The whole model in its own type, its edited matrices rounded to it, with the tokenizer."""
    needed = ROOM * sum(p.numel() * p.element_size() for p in lm.model.parameters())
    free = shutil.disk_usage(out.parent).free
    if free < needed:
        wanted = f"{needed / 2**30:.1f} GiB are needed, {free / 2**30:.1f} GiB are free"
        raise UserError(f"{out.parent}: the disk has no room for the model ({wanted}); export to another disk")
    tell("layers", "Writing the model")
    with lm.worn(state.weights):
        lm.model.save_pretrained(out)
    tell("layers", "Writing the tokenizer")
    lm.tokenizer.save_pretrained(out)
    _save_about(out, said)


def _save_about(folder: Path, said: Mapping[str, Any]) -> None:
    text = json.dumps(said, indent=2, ensure_ascii=False) + "\n"
    (folder / ABOUT).write_text(text, encoding="utf-8")


class _Telling:
    """Reports progress of one lane's round, where somebody listens."""

    def __init__(self, lane: str, number: int, progress: Callable[[Progress], None] | None):
        self._lane, self._number, self._progress = lane, number, progress

    def __call__(self, phase: str, message: str, done: int = 0, total: int = 0) -> None:
        if self._progress is not None:
            step = Progress(phase=phase, lane=self._lane, round=self._number, done=done, total=total, message=message)
            self._progress(step)
