"""Blocks: the energy of each round's update in the dominant directions of the weight and outside of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from core.charts.grammar import Chart
from core.editing.linalg.dominance import ENERGY, Dominance
from core.editing.settings.parameters import param
from core.measures.study.result import StudyResult

if TYPE_CHECKING:
    from torch import Tensor

    from core.editing.lane.state import LayerUpdates
    from core.editing.linalg.lowrank import LowRank
    from core.editing.linalg.subspace import Basis
    from core.measures.study.case import Case, Weights


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """The energy of an update in four blocks, before and after the guards; also for lanes that have none."""

    title: ClassVar[str] = "The guard's view"
    of: ClassVar[str] = "weights"
    question: ClassVar[str] = (
        "Which part of each update falls on the dominant directions, and how much did guards remove?"
    )
    source: ClassVar[str] = "REVIVE (arXiv 2601.11042), Eq. 6"

    tau: float | None = param(
        None, symbol="τ", gt=0, lt=1, help="Share of Σσ in the dominant directions; none: the guard's, or 0.1."
    )
    by: str | None = param(
        None,
        choices=("energy", "count"),
        help="τ is a share of the sum of singular values (energy) or of their number (count); none: as the guard has"
        " it, or energy.",
    )
    basis: str = param(
        "original",
        choices=("original", "current"),
        help="Directions of the unedited weight, or of the weight before the round.",
    )

    def seconds(self, case: Case, rounds: Sequence[int]) -> float:
        """About how long it will take here."""
        from core.measures.cost.cost_model import product, svd

        d_out, d_in, edited = case.lm.d_model, case.lm.d_ffn, len([t for t in rounds if t])
        bases = svd(d_out, d_in).times(edited if self.basis == "current" else 1)
        worn = product(d_out, d_in, d_out).times(4 * edited)  # Gram matrices of W_t − W_0, split by the basis
        return (bases + worn).times(len(case.layers)).seconds(case.lm)

    def run(self, case: Case, rounds: Sequence[int]) -> StudyResult:
        """Tables `blocks` (a row per round, layer, update and block) and `removed` (per round and layer)."""
        from core.editing.linalg.subspace import svd
        from core.measures.inside.blocks import by_chance
        from core.measures.study.walk import broken, edited_rounds, walk

        chosen = edited_rounds(case, rounds)
        own = case.recipe.dominance or Dominance()
        own = Dominance(self.tau or own.tau, self.by or own.by)
        blocks: list[dict[str, Any]] = []
        removed: list[dict[str, Any]] = []
        notes: list[str] = []
        bases: dict[int, Basis] = {}
        earlier = {t - 1 for t in chosen} if self.basis == "current" and not case.alone else set()
        before: Weights = {}
        for t, weights in walk(case, sorted({*chosen, *earlier})):
            if t not in chosen:
                before = weights
                continue
            case.report(chosen.index(t), len(chosen))
            update, bad = case.update(t), broken(weights)
            if bad:
                notes.append(f"round {t}: layers {bad} hold numbers that are not finite and were left out")
            if update.corrections:
                notes.append(f"round {t}: its guard acts on the accumulated change, so it shows only in “worn”")
            for layer in sorted(set(update.updates) - set(bad)):
                if self.basis == "current":
                    bases[layer] = own.basis(svd(before.get(layer, case.lm.original(layer))))
                elif layer not in bases:
                    bases[layer] = own.basis(case.session.svd(layer))
                basis = bases[layer]
                at = {"round": t, "layer": layer}
                parts = _parts(case, update, weights[layer], layer)
                chance = by_chance(basis)
                energies = {name: _rows(at, name, delta, basis, chance, blocks) for name, delta in parts.items()}
                removed.append(at | _removed(energies, len(basis.inputs.T)))
            before = {} if case.alone else weights
        case.report(len(chosen), len(chosen))
        return StudyResult(
            tables={"blocks": blocks, "removed": removed},
            charts=_charts(),
            protocol=(
                "ΔW of a round, before the guards (raw) and after them (guarded), and W_t − W_0 (worn), split by the"
                f" dominant {own.tau:g} of the {self.basis} weight's singular"
                f" {'energy Σσ' if own.by == ENERGY else 'values'} on both sides. Energy is ‖·‖²_F; a random update"
                " has a block's share by its size (`by_chance`)."
            ),
            notes=notes,
            empty=dict.fromkeys(("blocks", "removed"), "these rounds edited no layer with finite weights"),
        )


def _parts(case: Case, update: LayerUpdates, weight: Tensor, layer: int) -> dict[str, LowRank]:
    """The update before and after the guards, and the lane's whole change."""
    from core.editing.linalg.lowrank import LowRank

    guarded = update.updates[layer]
    return {
        "raw": update.raw.get(layer, guarded),
        "guarded": guarded,
        "worn": LowRank.full(weight - case.lm.original(layer)),
    }


def _rows(
    at: dict[str, int], name: str, delta: LowRank, basis: Basis, chance: dict[str, float], rows: list[dict[str, Any]]
) -> dict[str, float]:
    """Add a row per block of one update; its energies."""
    from core.measures.inside.blocks import block_energies

    energies = block_energies(delta, basis)
    total = sum(energies.values())
    rows += [
        at
        | {"where": f"round {at['round']}, layer {at['layer']}", "update": name, "block": block, "energy": energy}
        | {"share": energy / total if total else 0.0, "by_chance": chance[block]}
        for block, energy in energies.items()
    ]
    return energies


def _removed(energies: dict[str, dict[str, float]], rank: int) -> dict[str, Any]:
    """One layer's row: norms, the share that the guards removed, and the energy of the raw and total changes outside
    of rest → rest."""
    totals = {name: sum(blocks.values()) for name, blocks in energies.items()}
    touched = {name: totals[name] - energies[name]["rest → rest"] for name in totals}
    return {
        "k": rank,
        "raw_norm": totals["raw"] ** 0.5,
        "guarded_norm": totals["guarded"] ** 0.5,
        "worn_norm": totals["worn"] ** 0.5,
        "removed_share": 1 - totals["guarded"] / totals["raw"] if totals["raw"] else 0.0,
        "raw_touching": touched["raw"] / totals["raw"] if totals["raw"] else 0.0,
        "guarded_touching": touched["guarded"] / totals["guarded"] if totals["guarded"] else 0.0,
        "worn_touching": touched["worn"] / totals["worn"] if totals["worn"] else 0.0,
    }


def _charts() -> list[Chart]:
    return [
        Chart(
            table="blocks",
            kind="bar",
            x="block",
            y="share",
            by="update",
            facet="where",
            title="Where updates lie (input → output)",
            x_title="block",
            y_title="share of ‖ΔW‖²",
            unit="share",
        ),
        Chart(
            table="removed",
            kind="line",
            x="round",
            y="removed_share",
            by="layer",
            title="Removed by the guards",
            x_title="round",
            y_title="share of ‖ΔW‖² removed",
            unit="share",
        ),
        Chart(
            table="removed",
            kind="line",
            x="round",
            y="raw_touching",
            by="layer",
            title="What touches a dominant direction, before the guards",
            x_title="round",
            y_title="share of ‖ΔW‖²",
            unit="share",
        ),
    ]


STUDY = Blocks
