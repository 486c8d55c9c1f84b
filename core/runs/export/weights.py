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

ABOUT = "edit-lab.json"  # in an exported folder: its description
BESIDES = "The lane also puts retrieved sentences before prompts, which no file of weights holds."
ROOM = 1.02  # a model's files are a little larger than its tensors


def export_weights(
    at: LaneAt, kind: str, out: Path, options: ExportOptions, progress: Callable[[Progress], None] | None = None
) -> dict[str, Any]:
    """Write a lane's round ("factors", "lora" or "model") to `out`; returns its description (`about`)."""
    report, run = _ProgressReport(at.lane.label, at.round, progress), at.lane.run
    if not at.lane.recipe.changes_weights:
        raise UserError(
            f'lane "{at.lane.label}" changes no weights: there is nothing that a file of weights could hold. What it'
            " remembers is in the run's ledger, and the whole run can be exported"
        )
    report("loading", f"Loading the model {run.spec.model}")
    lm = run.lm
    state = LaneState.base(lm, at.lane.layers)
    rounds = _replayed(at, state, report)
    if kind == "model":
        for _ in rounds:
            pass
        description = about(at, state, [])
        _save_model(lm, state, out, description, report)
        return description
    exact = change(rounds)
    dtype = lm.master_dtype if kind == "factors" else getattr(torch, options.dtype)
    written: dict[int, LowRank] = {}
    layers = []
    for done, (layer, delta) in enumerate(exact.items()):
        report("layers", f"Layer {layer}: decomposing its change", done, len(exact))
        factors = decomposed(delta)
        written[layer] = fewest(delta, factors, dtype, options.rank, options.error)
        layers.append(_layer(lm, state, layer, numerical_rank(factors.sigma, lm.master_dtype), written[layer]))
    report("layers", "Writing the factors", len(exact), len(exact))
    description = about(at, state, layers)
    if kind == "factors":
        save_factors(out, lm, written, description)
    else:
        out.mkdir()
        base = None if public_name(lm.reference) != lm.reference or lm.reference == "pocket" else lm.reference
        save_lora(out, lm, written, base, description)
        _save_about(out, description)
    return description


def about(at: LaneAt, state: LaneState, layers: list[dict[str, Any]]) -> dict[str, Any]:
    """The description that is stored in an export, in JSON types.

    `base`: the model that it applies to; `lane`, `recipe`, `round`, `edits`: how it was edited; `same_bits`: whether
    the rebuilt weights equal those of the run bit for bit (they may not on another kind of device); `versions`: of the
    run's packages; `layers`: the change of each edited matrix W.

    Each layer has `module`; `transposed`: stored as [d_in, d_out]; `rank` of the export and `full_rank` of the change;
    `norm` = ‖ΔW‖_F; `error`: the relative error ‖ΔW − L Rᵀ‖_F / ‖ΔW‖_F with ΔW = W_t − W_0. `besides`, in lanes that
    wear more than matrices, says what is not exported.
    """
    record, event = at.lane.run.record, at.event
    besides = {"besides": BESIDES} if state.worn.extras else {}
    model = record.started["model"]
    assert event is not None
    return {
        "base": {"reference": public_name(at.lane.run.lm.reference)}
        | {name: model[name] for name in ("fingerprint", "dtype", "parameters")},
        "lane": at.lane.label,
        "recipe": record.recipe(at.lane.label),
        "round": at.round,
        "edits": len(at.lane.edited_by(at.round)),
        "same_bits": all(
            state.digest(int(layer)) == digest for layer, digest in event["hash"].items() if layer != "memory"
        ),
        "versions": record.started["versions"],
        "layers": layers,
    } | besides


def _replayed(at: LaneAt, state: LaneState, report: _ProgressReport) -> Iterator[LayerUpdates]:
    """The updates of a lane's rounds up to this one, each applied to `state`. Raises `UserError` for a round that is
    missing in the ledger."""
    lane, run = at.lane, at.lane.run
    edited_rounds = lane.rounds
    for number in range(1, at.round + 1):
        if number not in edited_rounds or run.record.edited(lane.label, number) is None:
            lost = f'round {number} of lane "{lane.label}" is lost'
            raise UserError(f"{run.folder.path}: {lost}; undo to the one before it")
    for number, update in run.ledger.replay(run.lm, lane.label, state, 0, at.round):
        report("loading", f"{lane.label}: rebuilding round {number} from the ledger", number, at.round)
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


def _save_model(
    lm: LanguageModel, state: LaneState, out: Path, description: Mapping[str, Any], report: _ProgressReport
) -> None:
    """Write the whole model in its own dtype, to which edited matrices are rounded, and the tokenizer."""
    needed = ROOM * sum(p.numel() * p.element_size() for p in lm.model.parameters())
    free = shutil.disk_usage(out.parent).free
    if free < needed:
        sizes = f"{needed / 2**30:.1f} GiB are needed, {free / 2**30:.1f} GiB are free"
        raise UserError(f"{out.parent}: the disk has no room for the model ({sizes}); export to another disk")
    report("layers", "Writing the model")
    with lm.worn(state.weights):
        lm.model.save_pretrained(out)
    report("layers", "Writing the tokenizer")
    lm.tokenizer.save_pretrained(out)
    _save_about(out, description)


def _save_about(folder: Path, description: Mapping[str, Any]) -> None:
    text = json.dumps(description, indent=2, ensure_ascii=False) + "\n"
    (folder / ABOUT).write_text(text, encoding="utf-8")


class _ProgressReport:
    """Reports progress of one lane's round to `progress`, if there is one."""

    def __init__(self, lane: str, number: int, progress: Callable[[Progress], None] | None):
        self._lane, self._number, self._progress = lane, number, progress

    def __call__(self, phase: str, message: str, done: int = 0, total: int = 0) -> None:
        if self._progress is not None:
            step = Progress(phase=phase, lane=self._lane, round=self._number, done=done, total=total, message=message)
            self._progress(step)
