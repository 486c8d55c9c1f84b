"""The choice of the layer to edit: where the new values are nearest, relative to the size of its weight and keys."""

from __future__ import annotations

from dataclasses import replace

from core.editing.lane.layer_method import LayerMethod
from core.editing.lane.method import Round
from core.editing.values.keys import prompts, states
from core.editing.values.optimise import Problem, optimise_values


def nearest_layer(round_: Round, steps: int) -> int:
    """argmin over the recipe's layers of Σ_facts ‖V − W K‖ / (‖W‖₂ ‖k‖₂) (MOSE, Eq. 22; the printed division by a
    vector is read as by its norm).

    V − W K is the δ that a value optimisation of `steps` evaluations finds at the layer, on the lane's current model;
    k the subject's last token in the bare prompt; one layer for all facts of the round. Of equal ones the lowest.
    """
    lm, facts, session = round_.lm, round_.facts, round_.session
    method = replace(LayerMethod.of(round_.recipe), steps=steps)
    contexts, rows = session.contexts(method), prompts(lm, facts, ())
    distances: dict[int, float] = {}
    with lm.worn(round_.state.sums):
        for layer in round_.recipe.layers:
            values = optimise_values(Problem(lm, facts, layer, contexts), method, round_.heartbeat)
            keys = states(lm, rows, layer, "key", round_.heartbeat)
            size = session.spectral_norm(layer)  # rotating W does not change it
            distances[layer] = float((values.delta.norm(dim=0) / (size * keys.norm(dim=0))).sum())
    return min(distances, key=lambda layer: (distances[layer], layer))
