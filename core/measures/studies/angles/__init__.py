"""Dominant subspaces of W_t compared with those of W_0; randomly rotated weights are the controls."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from core import ceiling
from core.charts.grammar import Chart
from core.editing.settings.parameters import param
from core.measures.study.result import StudyResult

if TYPE_CHECKING:
    from torch import Tensor

    from core.measures.inside.spectrum import Reference
    from core.measures.study.case import Case, Weights

EDITED, TURNED, RANDOM = "edited", "turned as far", "random orthogonal"
DRAWN = 64  # angles of a curve
SHARED = (  # columns that a run's layers.csv has too
    *("ls", "ss_right", "ss_left", "frobenius", "spectral", "numerical_rank", "rank_tolerance"),
    *("change", "drift_right", "drift_left"),
)
Rows = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Angles:
    """Principal angles, similarities of all dominant directions with all of W_0's, norms and condition, and controls.

    A random orthogonal matrix leaves every singular value unchanged: norms and condition do not depend on direction.
    """

    title: ClassVar[str] = "Angles between dominant subspaces"
    of: ClassVar[str] = "weights"
    question: ClassVar[str] = (
        "How far did the dominant directions rotate, and would a random rotation of the weight look the same?"
    )
    source: ClassVar[str] = "REVIVE, Figures 4, 5, 12-14; MOSE, Figure 2"

    tau: float = param(0.1, symbol="τ", gt=0, lt=1, help="Share of Σσ of W_0 in its dominant directions.")
    turn: str = param(
        "output",
        choices=("output", "input", "both"),
        help="The side on which the controls rotate W_0: Q W_0 (as MOSE does), or W_0 Q.",
    )
    cutoff: float | None = param(
        None, gt=0, lt=1, help="κ₂ uses only singular values above this fraction of σ_1; none: all."
    )

    cells: int = param(
        10_000,
        ge=1,
        le=ceiling.CELLS,
        help="Most similarities stored per layer and side, over all chosen rounds; more are binned.",
    )

    def seconds(self, case: Case, rounds: Sequence[int]) -> float:
        """About how long it will take here."""
        from core.measures.cost.cost_model import decomposition, orthogonal, product

        d_out, d_in = case.lm.d_model, case.lm.d_ffn
        widths = [w for w, side in ((d_out, "output"), (d_in, "input")) if self.turn in (side, "both")]
        work = decomposition(d_out, d_in).times(1 + len(rounds) + len(widths) * (len(rounds) + 1))
        for width in widths:
            turn = product(width, width, d_out * d_in // width).times(2 * len(rounds) + 1)
            work = work + orthogonal(width) + turn
        return work.times(len(case.edited_layers(max(rounds, default=0)))).seconds(case.lm)

    def run(self, case: Case, rounds: Sequence[int]) -> StudyResult:
        """Tables `angles`, `layers` (per round, layer, weight) and `similarity` (a heat map per round, layer, side)."""
        from core.measures.cost.cost_model import announcement
        from core.measures.inside.spectrum import Reference
        from core.measures.study.loop import each_state
        from core.measures.study.walk import broken

        notes = announcement(self.seconds(case, rounds))
        case.report(0, len(rounds) + 1)
        layers = case.edited_layers(max(rounds))
        bases, references = {}, {}
        for layer in layers:
            case.beat()
            bases[layer] = self._bases(case, layer)
            references[layer] = Reference.of(layer, case.lm.original(layer))
        angles: Rows = []
        table: Rows = []
        similarity: Rows = []
        for t, weights in each_state(case, rounds, ahead=1):
            if bad := broken(weights):
                notes.append(f"round {t}: layers {bad} hold numbers that are not finite and were left out")
            for layer in sorted(set(layers) - set(bad)):
                last = t == max(rounds)
                for name, weight in self._weights(references[layer], bases[layer], weights, last, notes):
                    case.beat()
                    compared = self._compare(references[layer], weight)
                    table.append({"round": t, "layer": layer, "where": f"layer {layer}", "weight": name} | compared.row)
                    if name == EDITED:
                        angles += compared.angles(t, layer)
                        similarity += compared.similarity(t, layer, self.cells // len(rounds))
        case.report(len(rounds) + 1, len(rounds) + 1)
        return StudyResult(
            tables={"angles": angles, "layers": table, "similarity": similarity},
            charts=_charts(),
            protocol=(
                f"W_t against W_0; k is the rank at which W_0 reaches {self.tau:g} of Σσ, for both. κ₂ in float64 over"
                f" {'all singular values' if self.cutoff is None else f'singular values above {self.cutoff:g} of σ_1'}"
                " (`counted` of them); empty where it is infinite. `numerical_rank`: singular values above"
                " `rank_tolerance` = max(rows, columns) · eps of the weights' type, times σ_1. Controls: W_0 rotated by"
                " a random orthogonal matrix (Haar), and by random rotations of all planes by one angle at which"
                f" ‖W − W_0‖ equals the lane's; on the {self.turn} side, in the weights' type. Of more than {DRAWN}"
                f" principal angles {DRAWN} are kept, evenly on a log scale. {_about_heat_maps(similarity)}"
            ),
            notes=list(dict.fromkeys(notes)),
            empty=dict.fromkeys(
                ("angles", "layers", "similarity"), "no edited layer has a finite weight at any of these rounds"
            ),
        )

    def _bases(self, case: Case, layer: int) -> dict[str, Tensor]:
        """A Haar-random orthogonal matrix for each rotated side."""
        from core.lazy import torch
        from core.measures.studies.angles.random_rotation import haar

        d_out, d_in = case.lm.original(layer).shape
        generator = torch.Generator().manual_seed(case.seed * 1_000_003 + layer)
        sides = {"output": d_out, "input": d_in}
        return {side: haar(width, generator) for side, width in sides.items() if self.turn in (side, "both")}

    def _weights(
        self, reference: Reference, bases: dict[str, Tensor], weights: Weights, last: bool, notes: list[str]
    ) -> Iterator[tuple[str, Tensor]]:
        """(name, weight): the lane's, and those that it is compared with."""
        from core.measures.studies.angles.random_rotation import rotated_as_far

        before = reference.weight
        weight = weights.get(reference.layer, before)
        yield EDITED, weight
        distance = float((weight.double() - before.double()).norm())
        for side, basis in bases.items():
            original = before if side == "output" else before.T
            name = f", {side} side" if self.turn == "both" else ""
            turned = rotated_as_far(original, distance, basis.to(before.device))
            if turned is None:
                notes.append(
                    f"layer {reference.layer}: no rotation goes as far as the edits did, so this control is left out"
                )
            else:
                yield TURNED + name, _oriented(turned, side)
            if last:
                yield RANDOM + name, _oriented(basis.to(before.device) @ original.double(), side)

    def _compare(self, reference: Reference, weight: Tensor) -> _Compared:
        """One weight against W_0."""
        from core.measures.inside.angles import overlap, principal_angles
        from core.measures.inside.similarity import compare
        from core.measures.inside.spectrum import spectrum

        k, weight = reference.rank_at(self.tau), weight.to(reference.weight.dtype)
        now = spectrum(weight, k)
        original = reference.spectrum
        same = compare(reference, weight, self.tau, now=now)
        right = principal_angles(now.vh[:k].T, original.vh[:k].T)
        left = principal_angles(now.u[:, :k], original.u[:, :k])
        row: dict[str, Any] = {"k": k} | {name: same.row[name] for name in SHARED}
        row |= {
            "condition": now.condition if self.cutoff is None else now.condition_above(self.cutoff),
            "counted": len(now.sigma) if self.cutoff is None else int((now.sigma > self.cutoff * now.sigma[0]).sum()),
            "angle_right": math.degrees(float(right[-1])),
            "angle_left": math.degrees(float(left[-1])),
            "overlap_right": overlap(now.vh[:k].T, original.vh[:k].T),
            "overlap_left": overlap(now.u[:, :k], original.u[:, :k]),
            "chance_right": k / weight.shape[1],
            "chance_left": k / weight.shape[0],
        }
        return _Compared(row, {"input": right, "output": left}, {"input": same.right, "output": same.left})


@dataclass(frozen=True)
class _Compared:
    """The results of one weight's comparison with W_0, by side."""

    row: dict[str, Any]
    radians: dict[str, Tensor]
    similarities: dict[str, Tensor]

    def angles(self, t: int, layer: int) -> Rows:
        from core.measures.inside.spectrum import thin

        return [
            {"round": t, "where": f"layer {layer}, {side} side", "i": i + 1, "degrees": math.degrees(float(radians[i]))}
            for side, radians in self.radians.items()
            for i in thin(len(radians), DRAWN)
        ]

    def similarity(self, t: int, layer: int, most: int) -> Rows:
        from core.measures.inside.angles import grid

        return [
            {"round": t, "layer": layer, "side": side, "where": f"round {t}, layer {layer}, {side} side"}
            | {"i": cell["i"] + 1, "j": cell["j"] + 1, "value": cell["value"], "largest_of": cell["cells"]}
            for side, cosines in self.similarities.items()
            for cell in grid(cosines, most)
        ]


def _about_heat_maps(similarity: Rows) -> str:
    """A sentence on how the heat maps are stored."""
    binned = {row["where"] for row in similarity if row["largest_of"] > 1}
    if not binned:
        return "Heat maps: every similarity of the first k directions i of W_t with all directions j of W_0."
    whole = len({row["where"] for row in similarity}) - len(binned)
    return (
        f"Heat maps: {len(binned)} are binned ({whole} are not): a cell holds the largest of `largest_of` similarities"
        " from i and j on, in bins that widen. Fewer rounds, a smaller τ or more `cells` give them one by one."
    )


def _oriented(weight: Tensor, side: str) -> Tensor:
    return weight if side == "output" else weight.T


def _charts() -> list[Chart]:
    over_rounds = partial(Chart, table="layers", kind="line", x="round", by="weight", facet="where")
    return [
        Chart(
            table="angles",
            kind="line",
            x="i",
            y="degrees",
            by="round",
            facet="where",
            title="Principal angles between the dominant subspaces of W_t and W_0",
            x_title="i",
            y_title="angle (degrees)",
            unit="degrees",
        ),
        Chart(
            table="similarity",
            kind="heat",
            x="j",
            y="i",
            z="value",
            facet="where",
            title="Similarity of W_t's dominant directions i with W_0's j",
            x_title="j (W_0)",
            y_title="i (W_t)",
        ),
        over_rounds(y="condition", title="Condition κ₂", x_title="round", y_title="κ₂", log_y=True),
        over_rounds(y="frobenius", title="‖W_t‖_F", x_title="round", y_title="‖W_t‖_F"),
        over_rounds(y="ls", title="LS: similarity of the rank-k parts", x_title="round", y_title="LS"),
    ]


STUDY = Angles
