"""Estimated time of the measures inside a model during a run, reported before they begin."""

from __future__ import annotations

import math

from core.editing.linalg.dominance import TAU
from core.measures.config import MeasureConfig
from core.measures.cost.cost_model import BRIEF, Work, decomposition, factorisation, in_words, passes, product
from core.models.language_model import LanguageModel


def setup_work(lm: LanguageModel, layers: int, config: MeasureConfig) -> Work:
    """Work before the first round: W_0 of each layer is decomposed, the probe's states are read twice and
    factorised."""
    d, rows = lm.d_model, config.rows_for(lm.d_model)
    each = decomposition(d, lm.d_ffn) + factorisation(rows, d) + product(rows, d, d).times(2)
    return each.times(layers) + passes(lm, rows).times(2)


def round_work(lm: LanguageModel, layers: int, config: MeasureConfig) -> Work:
    """Work of a lane's measured round: W_t of its layers is decomposed and compared with W_0, the probe's states are
    read again.

    Only an upper bound of k is known in advance: singular values descend, so k ≤ ⌈τ r⌉.
    """
    d_out, d_in, rows = lm.d_model, lm.d_ffn, config.rows_for(lm.d_model)
    r = min(d_out, d_in)
    k = math.ceil(TAU * r)
    similarity = product(k, d_out + d_in, r)  # SS: k directions of W_t against all of W_0
    drift = product(k, d_out, d_in).times(2)  # ‖U_kᵀ(W_t−W_0)‖, ‖(W_t−W_0)V_k‖
    each = decomposition(d_out, d_in, k) + similarity + drift + product(rows, d_out, d_out)
    return each.times(layers) + passes(lm, rows)


def run_estimate(lm: LanguageModel, layers: int, config: MeasureConfig) -> list[str]:
    """A sentence on the time of the measures inside `layers` edited layers if it is long; else empty."""
    if not config.inside or not layers:
        return []
    once, each = (work(lm, layers, config).seconds(lm) for work in (setup_work, round_work))
    if max(once, each) <= BRIEF:
        return []
    return [
        f"Singular values, similarity and R_k of {layers} layers are expected to take {in_words(once)} on this machine"
        f" before the first round, then {in_words(each)} after each measured round of a lane. Without them:"
        " measure.inside false; more seldom: measure.every or measure.rounds."
    ]
