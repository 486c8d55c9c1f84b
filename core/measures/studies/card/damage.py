"""The edited layers' down-projections zeroed, cut to a share of their energy, or perturbed in one tenth of their
directions: weights, and the card's rows of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from core.measures.inside.energy import Directions, kept_rank, strongest
from core.measures.inside.spectrum import Reference
from core.measures.studies.card.asked import Asker, Rows
from core.measures.study.case import Weights

SHARES = (0.0, 0.05, 0.1, 0.2, 0.5)  # of Σσ
TENTHS = 10


def zeroed(references: Mapping[int, Reference]) -> Weights:
    """Zeros in place of each weight."""
    return {layer: torch.zeros_like(reference.weight) for layer, reference in references.items()}


def cut(references: Mapping[int, Reference], share: float) -> Weights:
    """Each weight rebuilt from the fewest directions that hold this share of its energy Σσ."""
    return {layer: strongest(reference, kept_rank(reference, share)) for layer, reference in references.items()}


def tenths(count: int) -> list[range]:
    """The places of `count` directions in ten consecutive groups of equal number, as far as that goes."""
    edges = [round(part * count / TENTHS) for part in range(TENTHS + 1)]
    return [range(start, stop) for start, stop in zip(edges[:-1], edges[1:], strict=True)]


def chosen(count: int) -> list[int]:
    """`count` of the tenths (2 to 10), counted from 0: the strongest, the weakest, and evenly between."""
    return [round(i * (TENTHS - 1) / (count - 1)) for i in range(count)]


def parts_of(reference: Reference) -> Directions:
    """A weight's directions in tenths of their number, of those that float64 tells from zero."""
    svd = reference.spectrum
    vectors = svd.u[:, : svd.rank], svd.vh[: svd.rank]
    return Directions(reference.layer, reference.weight, svd.frobenius, *vectors, tenths(svd.rank))


def perturbed(parts: Directions, tenth: int, size: float, seed: int) -> Float[Tensor, "d_out d_in"]:
    """W + Δ with ‖Δ‖_F = `size` · ‖W‖_F, Gaussian on one tenth of the input directions and all output directions."""
    change = parts.disturbance("input", tenth, seed)
    return parts.weight + size * parts.norm * change


def zeroed_rows(references: Mapping[int, Reference], ask: Asker) -> Rows:
    """Rows of each layer zeroed by itself, and of all together: `layers` names them, `layer` is None for all."""
    rows: Rows = []
    for layer, zeros in zeroed(references).items():
        rows += ask.rows(ask({layer: zeros}), layers=f"layer {layer}", layer=layer)
    if len(references) == 1:
        ask.skip(1)
        return rows + [row | {"layers": "all edited", "layer": None} for row in rows]
    return rows + ask.rows(ask(zeroed(references)), layers="all edited", layer=None)


def kept_rows(references: Mapping[int, Reference], ask: Asker) -> Rows:
    """Rows of all layers together cut to each of `SHARES`, and of the whole (100 %)."""
    rows: Rows = []
    count = sum(len(reference.spectrum.sigma) for reference in references.values())
    for share in SHARES:
        ranks = sum(kept_rank(reference, share) for reference in references.values())
        rows += ask.rows(ask(cut(references, share)), percent=100 * share, directions=ranks / count)
    return rows + ask.rows(ask.intact, percent=100.0, directions=1.0)


def perturbed_rows(
    references: Mapping[int, Reference], ask: Asker, groups: int, size: float, seeds: Sequence[int]
) -> Rows:
    """Rows of all layers together perturbed in one tenth: mean, least and most over seeds, as shares of the intact
    model's."""
    parts = {layer: parts_of(reference) for layer, reference in references.items()}
    rows: Rows = []
    for tenth in chosen(groups):
        scores = [ask({layer: perturbed(own, tenth, size, seed) for layer, own in parts.items()}) for seed in seeds]
        average = {name: sum(one[name] for one in scores) / len(scores) for name in ask.intact}
        for row in ask.rows(average, tenth=tenth + 1):
            own, intact = [one[row["asked"]] for one in scores], ask.intact[row["asked"]]
            low, high = (end(own) / intact if intact else None for end in (min, max))
            rows.append(row | {"low": low, "high": high})
    return rows
