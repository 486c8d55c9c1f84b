"""How long the measures inside a model will take on this machine while a run goes on, told before they begin."""

from __future__ import annotations

import math

from core.editing.linalg.dominance import TAU
from core.measures.config import MeasureConfig
from core.measures.cost.cost_model import BRIEF, Work, decomposition, factorisation, in_words, passes, product
from core.models.language_model import LanguageModel


def setup_work(lm: LanguageModel, layers: int, config: MeasureConfig) -> Work:
    """Once, before the first round: W_0 of each layer decomposed, the probe's states read twice and factorised."""
    d, rows = lm.d_model, config.rows_for(lm.d_model)
    each = decomposition(d, lm.d_ffn) + factorisation(rows, d) + product(rows, d, d).times(2)
    return each.times(layers) + passes(lm, rows).times(2)


def round_work(lm: LanguageModel, layers: int, config: MeasureConfig) -> Work:
    """Each measured round of a lane: W_t of its layers decomposed and compared with W_0, the probe's states read again.

    Of the k dominant directions only an upper bound is known before: singular values descend, so k ≤ ⌈τ r⌉.
    """
    d_out, d_in, rows = lm.d_model, lm.d_ffn, config.rows_for(lm.d_model)
    r = min(d_out, d_in)
    k = math.ceil(TAU * r)
    similarity = product(k, d_out + d_in, r)  # SS: k directions of W_t against all of W_0
    drift = product(k, d_out, d_in).times(2)  # ‖U_kᵀ(W_t−W_0)‖, ‖(W_t−W_0)V_k‖
    each = decomposition(d_out, d_in, k) + similarity + drift + product(rows, d_out, d_out)
    return each.times(layers) + passes(lm, rows)


def run_estimate(lm: LanguageModel, layers: int, config: MeasureConfig) -> list[str]:
    """What to say of the measures inside `layers` edited layers, where that is long; else nothing."""
    if not config.inside or not layers:
        return []
    once, each = (work(lm, layers, config).seconds(lm) for work in (setup_work, round_work))
    if max(once, each) <= BRIEF:
        return []
    return [
        f"Singular values, similarity and R_k of {layers} layers are expected to take {in_words(once)} on this machine"
        f" before the first round, then {in_words(each)} after each measured round of a lane. Without them:"
        " measure.inside false; more seldom: measure.every."
    ]
