"""The `edited` event of a round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from core.editing.lane.method import Recipe
from core.editing.lane.results import RoundUpdate
from core.editing.lane.state import LaneState
from core.runs.progress.events import Edited


def edited(
    recipe: Recipe,
    number: int,
    indices: list[int],
    update: RoundUpdate,
    state: LaneState,
    overlaps: Mapping[int, float | None],
) -> Edited:
    """The event for a round of a lane that edited these facts: its `update`, the `state` after it, and how far its keys
    overlap with earlier ones, by layer. Its `seconds` are still missing."""
    layers = [
        {
            "layer": layer,
            "delta_frobenius": delta.norm(),
            "removed_share": update.removed_share[layer],
            "key_overlap": overlaps.get(layer),
            "residual_before": update.residual_before[layer],
            "residual_after": update.residual_after[layer],
        }
        for layer, delta in update.updates.items()
    ]
    values = update.values
    event = Edited(
        lane=recipe.label,
        round=number,
        facts=indices,
        seconds={},
        layers=layers,
        hash=state.digests(list(update.updates)),
        values={
            "loss_start": float(values.loss_start.mean()),
            "loss": float(values.loss.mean()),
            "steps": float(values.steps.double().mean()),
        },
        notes=list(update.notes),
    )
    return event if update.factor is None else replace(event, factor=update.factor)
